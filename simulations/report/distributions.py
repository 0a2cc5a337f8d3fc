"""How long requests took: the share of them that took at most so long, on a logarithmic scale, by policy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simulations.figures import seconds_shown
from simulations.plant.results import Histogram
from simulations.report.svg import Scale, axes, chart, element, line, series, text, title

_POINTS = 300
_MOST_NINES = 4.0
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)


class Nines(Scale):
    """Shares by their nines, −log10(1 − share): 90 %, 99 % and 99.9 % are equally far apart, for it is the slowest
    requests that tell policies from each other."""

    __slots__ = ()

    def of(self, share: float) -> float:
        """The place of a share."""
        return self(_nines(share))

    def ticks(self, count: int = 5) -> list[float]:
        """See Scale."""
        return [_nines(share) for share in _TICKS]


def _nines(share: float) -> float:
    return -math.log10(max(10.0**-_MOST_NINES, 1.0 - share))


def _share(nines: float) -> str:
    return f"{100.0 * (1.0 - 10.0**-nines):.6g} %"


def latency_chart(curves: Sequence[tuple[str, Histogram]], objective: float | None, label: str) -> str:
    """`curves` by policy; `objective` in seconds is drawn where there is one."""
    with_any = [histogram for _, histogram in curves if histogram.total]
    if not with_any:
        return "<p class='note'>No request was completed.</p>"
    least = min(histogram.quantile(0.001) for histogram in with_any)
    most = max(histogram.quantile(1.0) for histogram in with_any)
    least, most = max(1e-4, 0.8 * least), max(1.5 * least, 1.1 * most)
    x = Scale(least, most, 52.0, 990.0, logarithmic=True)
    y = Nines(0.0, _MOST_NINES, 250.0, 14.0)
    parts = [axes(x, y, seconds_shown, _share)]
    if objective is not None and least < objective < most:
        at = x(objective)
        parts.append(element("line", x1=at, x2=at, y1=14.0, y2=250.0, cls="objective"))
        parts.append(text(at + 4, 244, f"objective {seconds_shown(objective)}"))
    for at, (name, histogram) in enumerate(curves):
        if histogram.total:
            parts.append(element("g", title(name) + line(_curve(histogram, x, y), f"curve {series(at)}")))
    return chart(1000.0, 276.0, "".join(parts), label)


def _curve(histogram: Histogram, x: Scale, y: Nines) -> list[tuple[float, float]]:
    shares = np.unique(np.concatenate((np.linspace(0.001, 0.99, _POINTS), 1.0 - np.geomspace(0.01, 1e-4, 40), [1.0])))
    return [(x(max(x.least, histogram.quantile(share))), y.of(share)) for share in shares.tolist()]
