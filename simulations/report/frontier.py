"""Cost against attainment: each policy a point with its intervals, those that another beats in both greyed, and the
curve of the clairvoyant, below which there is nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from simulations.clairvoyance import Clairvoyance
from simulations.comparison import Entry, Estimate
from simulations.figures import share_shown
from simulations.report.svg import Scale, axes, chart, element, line, series, text, title

_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 990.0, 20.0, 280.0
# What a letter of a label takes, at most as a rule.
_LETTER = 7.2


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
    x = Scale(0.0, max(1.15 * most_usd, 1e-9), _LEFT, _RIGHT)
    y = Scale(lowest, 1.0, _BOTTOM, _TOP)
    parts = [axes(x, y, lambda usd: f"{usd:g} USD", share_shown)]
    inside = [(x(usd), y(share)) for share, usd in curve if share >= lowest]
    parts.append(line(inside, "bound"))
    for share, usd in exact:
        what = f"clairvoyant, nobody waits: {usd:.4g} USD"
        parts.append(element("path", title(what), d=_diamond(x(usd), y(share)), cls="boundpoint"))
    points = [(x(entry.mean("usd")), y(entry.mean("attainment"))) for entry in usable]
    marks = [*points, *((x(usd), y(share)) for share, usd in exact)]
    taken = [Box(px - 7.0, px + 7.0, py - 7.0, py + 7.0) for px, py in marks]
    for at, (entry, (px, py)) in enumerate(zip(usable, points, strict=True)):
        box = label_place(px, py, _LETTER * len(entry.label), taken)
        taken.append(box)
        parts.append(_point(entry, series(at), x, y, box))
    return chart(1000.0, 306.0, "".join(parts), "cost and SLO attainment of each policy")


class Box(NamedTuple):
    """What a label or a point covers."""

    left: float
    right: float
    top: float
    bottom: float

    def covers(self, other: Box) -> bool:
        """Whether both have a place in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def label_place(x: float, y: float, width: float, taken: Sequence[Box]) -> Box:
    """A place for a label of a point: right of it or left of it, as near as nothing else is in the way; above the line
    first, then below it, further and further away."""
    boxes = [
        Box(left, left + width, y + away - 5.0, y + away + 8.0)
        for away in (-12.0, 12.0, -25.0, 25.0, -38.0, 38.0, 51.0, 64.0, 77.0)
        for left in (x + 10.0, x - 10.0 - width)
    ]
    inside = [box for box in boxes if box.left >= _LEFT and box.right <= _RIGHT and 0.0 <= box.top <= _BOTTOM - 8.0]
    usable = inside or boxes[:1]
    return next((box for box in usable if not any(box.covers(other) for other in taken)), usable[0])


def _point(entry: Entry, colour: str, x: Scale, y: Scale, label: Box) -> str:
    usd, good = entry.figures["usd"], entry.figures["attainment"]
    at_x, at_y = x(usd.mean), y(good.mean)
    cls = "dominated" if entry.dominated else colour
    what = f"{entry.label}: {usd.mean:.4g} USD, {share_shown(good.mean)}"
    right = label.left > at_x
    return element(
        "g",
        title(what)
        + _whisker(usd, x, at_y, across=True)
        + _whisker(good, y, at_x, across=False)
        + element("circle", cx=at_x, cy=at_y, r=6.0, cls=f"point {cls}")
        + text(label.left if right else label.right, label.bottom, entry.label, "label", "start" if right else "end"),
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
