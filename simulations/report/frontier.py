"""Cost against attainment: each policy a point with its intervals, those that another beats in both greyed, and the
curve of the clairvoyant, below which there is nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulations.clairvoyance import Clairvoyance
from simulations.comparison import Entry, Estimate
from simulations.figures import share_shown
from simulations.report.svg import Scale, axes, chart, element, line, series, text, title


def frontier_chart(entries: Sequence[Entry], bound: Clairvoyance | None) -> str:
    """USD to the right, attainment upwards: the upper left is where one wants to be."""
    usable = [entry for entry in entries if not math.isnan(entry.mean("attainment"))]
    if not usable:
        return "<p class='note'>No request came to an end.</p>"
    curve = list(bound.curve) if bound is not None else []
    exact = [(1.0, bound.usd)] if bound is not None else []
    most_usd = max([entry.mean("usd") for entry in usable] + [usd for _, usd in exact])
    least = min(entry.mean("attainment") for entry in usable)
    lowest = max(0.0, min(0.999, least - 0.15 * (1.0 - least) - 0.0005))
    x = Scale(0.0, max(1.15 * most_usd, 1e-9), 66.0, 990.0)
    y = Scale(lowest, 1.0, 280.0, 20.0)
    parts = [axes(x, y, lambda usd: f"{usd:g} USD", share_shown)]
    inside = [(x(usd), y(share)) for share, usd in curve if share >= lowest]
    parts.append(line(inside, "bound"))
    for share, usd in exact:
        what = f"clairvoyant, nobody waits: {usd:.4g} USD"
        parts.append(element("path", title(what), d=_diamond(x(usd), y(share)), cls="boundpoint"))
    labels: list[tuple[float, float]] = []
    for at, entry in enumerate(usable):
        place = _free(x(entry.mean("usd")), y(entry.mean("attainment")), labels)
        labels.append(place)
        parts.append(_point(entry, series(at), x, y, place[1]))
    return chart(1000.0, 306.0, "".join(parts), "cost and SLO attainment of each policy")


def _free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A place for a label above the line through (x, y): lower, as long as another one is in the way."""
    y -= 12.0
    while any(abs(x - other_x) < 170.0 and abs(y - other_y) < 13.0 for other_x, other_y in taken):
        y += 6.5
    return x, y


def _point(entry: Entry, colour: str, x: Scale, y: Scale, label_y: float) -> str:
    usd, good = entry.figures["usd"], entry.figures["attainment"]
    at_x, at_y = x(usd.mean), y(good.mean)
    cls = "dominated" if entry.dominated else colour
    what = f"{entry.label}: {usd.mean:.4g} USD, {share_shown(good.mean)}"
    right = at_x < x.end - 170.0
    return element(
        "g",
        title(what)
        + _whisker(usd, x, at_y, across=True)
        + _whisker(good, y, at_x, across=False)
        + element("circle", cx=at_x, cy=at_y, r=6.0, cls=f"point {cls}")
        + text(at_x + (10 if right else -10), label_y + 4, entry.label, "label", "start" if right else "end"),
    )


def _whisker(estimate: Estimate, scale: Scale, other: float, *, across: bool) -> str:
    if math.isnan(estimate.low):
        return ""
    low, high = scale(estimate.low), scale(estimate.high)
    if across:
        return element("line", x1=low, x2=high, y1=other, y2=other, cls="whisker")
    return element("line", x1=other, x2=other, y1=low, y2=high, cls="whisker")


def _diamond(x: float, y: float) -> str:
    return f"M{x - 7:.1f} {y:.1f}L{x:.1f} {y - 7:.1f}L{x + 7:.1f} {y:.1f}L{x:.1f} {y + 7:.1f}Z"
