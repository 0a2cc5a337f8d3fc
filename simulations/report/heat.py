"""A map of policies and traces: how well each did on each, for those who have more than one trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from simulations.comparison import Comparison, Entry
from simulations.figures import share_shown
from simulations.report.svg import chart, element, text, title

_NAMES, _CELL, _ROW = 190.0, 130.0, 34.0


def attainment_map(comparisons: Sequence[Comparison]) -> str:
    """The share that was served in time; the paler, the worse."""
    return _map(comparisons, lambda entry, _: entry.mean("attainment"), share_shown, lambda share: share)


def cost_map(comparisons: Sequence[Comparison]) -> str:
    """Cost over that of the cheapest policy on the same trace; the paler, the dearer."""
    return _map(comparisons, _relative, lambda ratio: f"×{ratio:.3g}", lambda ratio: 1.0 / max(1.0, ratio))


def _relative(entry: Entry, comparison: Comparison) -> float:
    cheapest = min((each.mean("usd") for each in comparison.entries if each.mean("usd") > 0.0), default=math.nan)
    return entry.mean("usd") / cheapest


def _map(
    comparisons: Sequence[Comparison],
    value: Callable[[Entry, Comparison], float],
    shown: Callable[[float], str],
    good: Callable[[float], float],
) -> str:
    labels = [entry.label for entry in comparisons[0].entries]
    parts = []
    for column, comparison in enumerate(comparisons):
        left = _NAMES + _CELL * column
        name = comparison.case.setup.trace.name
        parts.append(text(left + _CELL / 2, 16, name[:20], "axis", "middle"))
        by_label = {entry.label: entry for entry in comparison.entries}
        for row, label in enumerate(labels):
            found = value(by_label[label], comparison)
            top = 24.0 + _ROW * row
            strength = 0.0 if math.isnan(found) else max(0.0, min(1.0, good(found)))
            said = "–" if math.isnan(found) else shown(found)
            tip = title(f"{label} on {name}: {said}")
            box = {"x": left, "y": top, "width": _CELL - 4, "height": _ROW - 4}
            parts.append(element("rect", tip, cls="heat", fill_opacity=f"{0.08 + 0.72 * strength**4:.2f}", **box))
            parts.append(text(left + _CELL / 2 - 2, top + 20, said, "axis", "middle"))
    for row, label in enumerate(labels):
        parts.append(text(_NAMES - 8, 24.0 + _ROW * row + 20, label[:30], "axis", "end"))
    width = max(1000.0, _NAMES + _CELL * len(comparisons))
    return chart(width, 30.0 + _ROW * len(labels), "".join(parts), "policies on traces")
