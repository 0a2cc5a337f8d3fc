"""Sensitivity: what each axis does to the reference policy (a tornado), and along each axis to all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulations.comparison import Estimate
from simulations.figures import share_shown
from simulations.report.svg import Scale, axes, chart, element, line, series, text, title
from simulations.study import Point, SweptPolicy
from simulations.sweep import AXES

_ROW = 30.0


def tornado_chart(swept: Sequence[SweptPolicy], key: str) -> str:
    """Bars from the least to the most of `usd` or `attainment` along each axis, the widest first; one policy."""
    rows = [(each, *_ends(each, key)) for each in swept]
    rows = [row for row in rows if not math.isnan(row[1]) and not math.isnan(row[2])]
    if not rows:
        return ""
    rows.sort(key=lambda row: row[1] - row[2])
    base = _of(rows[0][0].base, key).mean
    least, most = min(base, *(row[1] for row in rows)), max(base, *(row[2] for row in rows))
    x = Scale(least, most, 190.0, 730.0)
    parts = []
    for at, (each, low, high) in enumerate(rows):
        top = 8.0 + _ROW * at
        parts.append(text(182.0, top + 15, each.axis, "axis", "end"))
        left, right = x(low), max(x(high), x(low) + 1.0)
        tip = title(f"{each.axis}: {_shown(low, key)} to {_shown(high, key)}")
        parts.append(element("rect", tip, x=left, y=top, width=right - left, height=20.0, cls="tornado"))
        parts.append(text(right + 6, top + 15, _values(each, key)))
    bottom = 8.0 + _ROW * len(rows)
    parts.append(element("line", x1=x(base), x2=x(base), y1=2.0, y2=bottom, cls="base strong"))
    parts.append(text(x(base), bottom + 14, f"as it is: {_shown(base, key)}", anchor="middle"))
    return chart(1000.0, bottom + 22.0, "".join(parts), f"what changes {key} most")


def axis_chart(swept: Sequence[SweptPolicy], key: str, order: Sequence[str]) -> str:
    """All policies along one axis; `order` gives policies their colours."""
    axis = AXES[swept[0].axis]
    values = [point.value for point in swept[0].points]
    logarithmic = axis.geometric and min(values) > 0.0
    means = [_of(point, key).mean for each in swept for point in each.points]
    known = [mean for mean in means if not math.isnan(mean)]
    if len(values) < 2 or not known:
        return ""
    least = 0.0 if key == "usd" else max(0.0, min(known) - 0.02)
    x = Scale(min(values), max(values), 62.0, 470.0, logarithmic=logarithmic)
    y = Scale(least, max(known) if key == "usd" else 1.0, 180.0, 14.0)
    parts = [axes(x, y, axis.shown, lambda value: _shown(value, key), 4)]
    for each in swept:
        colour = series(order.index(each.label))
        places = [(x(point.value), y(mean)) for point in each.points if not math.isnan(mean := _of(point, key).mean)]
        dots = "".join(element("circle", cx=at_x, cy=at_y, r=3.0, cls=f"point {colour}") for at_x, at_y in places)
        parts.append(element("g", title(each.label) + line(places, f"curve {colour}") + dots))
    return chart(480.0, 206.0, "".join(parts), f"{key} along {axis.name}")


def _ends(swept: SweptPolicy, key: str) -> tuple[float, float]:
    means = [_of(point, key).mean for point in (*swept.points, swept.base)]
    known = [mean for mean in means if not math.isnan(mean)]
    return (min(known), max(known)) if known else (math.nan, math.nan)


def _values(swept: SweptPolicy, key: str) -> str:
    """What the axis goes from and to, and what comes of it."""
    first, last = swept.points[0], swept.points[-1]
    shown = AXES[swept.axis].shown
    ends = (f"{shown(point.value)}: {_shown(_of(point, key).mean, key)}" for point in (first, last))
    return " · ".join(ends)


def _of(point: Point, key: str) -> Estimate:
    return point.usd if key == "usd" else point.attainment


def _shown(value: float, key: str) -> str:
    return "–" if math.isnan(value) else f"{value:.3g} USD" if key == "usd" else share_shown(value)
