"""Bars: where GPU-hours went, and where the time of a start goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from simulations.clairvoyance import Clairvoyance
from simulations.comparison import Entry
from simulations.figures import seconds_shown
from simulations.plant.results import GpuUse
from simulations.report.svg import Scale, chart, element, text, title
from simulations.scenario import StartPhase

USES = tuple((f"u-{use.value}", use.value) for use in GpuUse)
PHASES = tuple((f"p-{phase.value}", phase.value) for phase in StartPhase)
_ROW, _NAMES, _END = 30.0, 190.0, 900.0

Parts = Sequence[tuple[str, str, float]]


def hours_chart(entries: Sequence[Entry], bound: Clairvoyance | None) -> str:
    """A bar for each policy, by what its GPUs did; the clairvoyant as a line through all."""
    rows = [
        (entry.label, [(f"u-{use.value}", use.value, entry.mean(f"gpu_hours_{use.value}")) for use in GpuUse])
        for entry in entries
    ]
    most = max([sum(value for *_, value in parts) for _, parts in rows] + [bound.gpu_hours if bound else 0.0])
    x = Scale(0.0, max(most, 1e-9), _NAMES, _END)
    mark = ""
    if bound is not None:
        at, bottom = x(bound.gpu_hours), 8.0 + _ROW * len(rows)
        mark = element("line", x1=at, x2=at, y1=4.0, y2=bottom, cls="bound")
        mark += text(at + 4, bottom + 12, f"clairvoyant {bound.gpu_hours:.3g}")
    return _chart(rows, x, lambda value: f"{value:.3g} h", mark, "GPU-hours of each policy")


def waterfall_chart(entries: Sequence[Entry]) -> str:
    """The mean start of each policy, phase after phase; one that started nothing has no bar."""
    rows = []
    for entry in entries:
        parts = [(f"p-{phase.value}", phase.value, entry.mean(f"start_{phase.value}")) for phase in StartPhase]
        rows.append((entry.label, [part for part in parts if not math.isnan(part[2])]))
    most = max(sum(value for *_, value in parts) for _, parts in rows)
    if most == 0.0:
        return "<p class='note'>Nothing was started.</p>"
    return _chart(rows, Scale(0.0, most, _NAMES, _END), seconds_shown, "", "phases of a start", falling=True)


def _chart(
    rows: Sequence[tuple[str, Parts]],
    x: Scale,
    shown: Callable[[float], str],
    mark: str,
    label: str,
    *,
    falling: bool = False,
) -> str:
    parts = []
    for at, (name, bar) in enumerate(rows):
        top, begin = 8.0 + _ROW * at, 0.0
        parts.append(text(_NAMES - 8, top + 16, name[:30], "axis", "end"))
        # In a waterfall each phase is a step lower than the one before.
        step = 20.0 / max(1, len(bar)) if falling else 0.0
        height = max(5.0, step) if falling else 20.0
        for place, (cls, what, value) in enumerate(bar):
            left, right = x(begin), x(begin + value)
            tip = title(f"{name}: {what} {shown(value)}")
            y = top + step * place
            parts.append(element("rect", tip, x=left, y=y, width=max(0.0, right - left), height=height, cls=cls))
            begin += value
        parts.append(text(x(begin) + 6, top + 16, shown(begin) if bar else "no start"))
    return chart(1000.0, 26.0 + _ROW * len(rows), "".join(parts) + mark, label)
