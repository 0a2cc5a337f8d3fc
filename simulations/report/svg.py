"""SVG by small pure functions: elements, scales, axes, paths. Numbers are rounded: pages stay small, and the same.

Colours are CSS classes, because a page is read in light and in dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from simulations.plant.results import F8

# Classes c0…c9 of the style sheet; further series begin again.
PALETTE = 10


def number(value: float) -> str:
    """At most one decimal: a tenth of a pixel is what can be seen."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def element(name: str, content: str = "", /, **attributes: str | float) -> str:
    """`cls` stands for class, `_` in names for `-`. Values are escaped, content is markup already."""
    written = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(x: float, y: float, content: str, cls: str = "", anchor: str = "start") -> str:
    """A line of text."""
    return element("text", escape(content), x=x, y=y, cls=cls, text_anchor=anchor)


def title(content: str) -> str:
    """What is shown where one points."""
    return element("title", escape(content))


def chart(width: float, height: float, content: str, label: str) -> str:
    """A whole drawing; `label` says in words what it shows."""
    return element(
        "svg", content, cls="chart", viewBox=f"0 0 {number(width)} {number(height)}", role="img", aria_label=label
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places, linear or logarithmic. A range of nothing is made a little one. `whole`: there is nothing
    between 2 and 3, as of GPUs."""

    least: float
    most: float
    begin: float
    end: float
    logarithmic: bool = False
    whole: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; beyond the ends at the ends."""
        least, most, at = self.least, self.most, value
        if self.logarithmic:
            least, most, at = math.log(least), math.log(most), math.log(max(value, self.least))
        share = (at - least) / (most - least) if most > least else 0.5
        return self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values, about so many; on a logarithmic scale powers of ten, with 2 and 5 where there is room."""
        if self.logarithmic:
            return _log_ticks(self.least, self.most)
        if not self.most > self.least:
            return [self.least]
        step = _round_step((self.most - self.least) / count, (1.0, 2.0, 5.0, 10.0) if self.whole else _ROUND)
        step = max(1.0, step) if self.whole else step
        first = math.ceil(self.least / step - 1e-9)
        last = math.floor(self.most / step + 1e-9)
        return [round(at * step, 10) for at in range(first, last + 1)]


def axes(x: Scale, y: Scale, x_text: Callable[[float], str], y_text: Callable[[float], str], x_ticks: int = 6) -> str:
    """Grid lines and their labels, left and below."""
    parts = []
    for value in y.ticks():
        at = y(value)
        parts.append(element("line", x1=x.begin, x2=x.end, y1=at, y2=at, cls="grid"))
        parts.append(text(x.begin - 6, at + 4, y_text(value), anchor="end"))
    for value in x.ticks(x_ticks):
        at = x(value)
        parts.append(element("line", x1=at, x2=at, y1=y.begin, y2=y.begin + 4, cls="base"))
        # A label below the right end would be cut off where the drawing ends.
        near_end = x.end - at < 20.0
        parts.append(
            text(x.end + 8 if near_end else at, y.begin + 17, x_text(value), "", "end" if near_end else "middle")
        )
    parts.append(element("line", x1=x.begin, x2=x.end, y1=y.begin, y2=y.begin, cls="base"))
    return "".join(parts)


def line(points: Sequence[tuple[float, float]], cls: str) -> str:
    """A line through places."""
    return element("polyline", points=_points(points), cls=cls, fill="none") if points else ""


def area(upper: Sequence[tuple[float, float]], floor: float, cls: str) -> str:
    """What lies between a line and the floor."""
    if not upper:
        return ""
    closed = [(upper[0][0], floor), *upper, (upper[-1][0], floor)]
    return element("polygon", points=_points(closed), cls=cls)


def steps(values: F8, x: Scale, y: Scale, most: int = 720) -> list[tuple[float, float]]:
    """Values of bins as a line of steps; of many bins the largest of each few, so that no peak is lost."""
    values = thinned(values, most)
    edges = np.linspace(x.begin, x.end, len(values) + 1)
    points: list[tuple[float, float]] = []
    for at, value in enumerate(values.tolist()):
        place = y(value)
        if points and abs(points[-1][1] - place) < 0.05:
            points[-1] = (float(edges[at + 1]), points[-1][1])
            continue
        points += [(float(edges[at]), place), (float(edges[at + 1]), place)]
    return points


def thinned(values: F8, most: int) -> F8:
    """At most so many values: the largest of each few that follow each other."""
    if len(values) <= most:
        return values
    each = math.ceil(len(values) / most)
    padded = np.concatenate((values, np.full(-len(values) % each, -np.inf)))
    return np.asarray(padded.reshape(-1, each).max(axis=1))


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """(class, name) pairs, as HTML above a chart."""
    items = "".join(f'<span><i class="{cls}"></i>{escape(name)}</span>' for cls, name in entries)
    return f'<div class="legend">{items}</div>'


def series(at: int) -> str:
    """The class of the at-th policy's colour."""
    return f"c{at % PALETTE}"


def clock(seconds: float) -> str:
    """Time of the trace for an axis."""
    if seconds >= 2 * 86_400 and seconds % 3600 == 0:
        return f"{seconds / 86_400:g} d"
    hours, minutes, rest = round(seconds) // 3600, round(seconds) // 60 % 60, round(seconds) % 60
    # Each with its unit: 0:05 would be five minutes to one and five seconds to another.
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if number]
    return " ".join(parts) or "0"


def time_scale(span: float, begin: float, end: float) -> Scale:
    """Seconds from 0 to `span`."""
    return TimeScale(0.0, span, begin, end)


class TimeScale(Scale):
    """Its ticks are round as times are: minutes, quarters of an hour, hours, days."""

    __slots__ = ()

    def ticks(self, count: int = 6) -> list[float]:
        """See Scale."""
        wanted = (self.most - self.least) / count
        step = next((each for each in _TIME_STEPS if each >= wanted), _TIME_STEPS[-1])
        return [at * step for at in range(int(self.most / step) + 1)]


_TIME_STEPS = (
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0,
    43_200.0, 86_400.0, 172_800.0, 604_800.0, 2_592_000.0,
)  # fmt: skip


_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


def _round_step(step: float, rounds: Sequence[float] = _ROUND) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(each * power for each in rounds if each * power >= step * (1 - 1e-9))


def _log_ticks(least: float, most: float) -> list[float]:
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    inside = (1.0,) if high - low > 3 else (1.0, 2.0, 5.0)
    every = [float(f"{digit * 10.0**power:.6g}") for power in range(low, high + 1) for digit in inside]
    return [value for value in every if least * (1 - 1e-9) <= value <= most * (1 + 1e-9)]


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)
