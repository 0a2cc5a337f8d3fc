"""The time line: what was asked for above, what was there below, and where users were let down behind both."""

from __future__ import annotations

import math

from simulations.counted import Counted
from simulations.figures import share_shown
from simulations.plant.results import F8, Timeline
from simulations.report.svg import (
    Scale,
    area,
    axes,
    chart,
    clock,
    element,
    line,
    steps,
    text,
    time_scale,
    title,
)

LEGEND = (
    ("l-demand", "requests in the system"),
    ("l-held", "of them held"),
    ("l-ready", "GPUs ready"),
    ("l-starting", "starting"),
    ("l-draining", "draining"),
    ("l-wanted", "wanted"),
    ("l-missed", "objective missed"),
)
_WIDTH, _LEFT, _RIGHT = 1000.0, 52.0, 990.0
_SMALL_WIDTH = 310.0
_BLOCKS = 240


def timeline(counted: Counted, warm_up: float, most_requests: float, most_gpus: float) -> str:
    """One policy's run. The tops of both scales are given, so that policies can be compared at sight."""
    shown = counted.timeline
    span = len(shown.demand) * shown.width
    x = time_scale(span, _LEFT, _RIGHT)
    requests = Scale(0.0, max(most_requests, 1e-9), 118.0, 12.0)
    gpus = Scale(0.0, max(most_gpus, 1.0), 268.0, 146.0, whole=True)
    parts = [
        _misses(shown, x, 12.0, 268.0),
        _warm_up(warm_up, x, 12.0, 268.0),
        axes(x, requests, lambda _: "", _count),
        axes(x, gpus, clock, _count),
        text(_LEFT + 4, 24, "requests", "axis"),
        text(_LEFT + 4, 158, "GPUs", "axis"),
        area(steps(shown.demand, x, requests), requests.begin, "demand"),
        area(steps(shown.held, x, requests), requests.begin, "held"),
        *_stack(shown, x, gpus),
        line(steps(shown.wanted, x, gpus), "wanted"),
    ]
    return chart(_WIDTH, 292.0, "".join(parts), f"{counted.name}: demand and GPUs over time")


def peaks(shown: Timeline) -> tuple[float, float]:
    """The most requests and GPUs at a time."""
    supply = shown.ready + shown.starting + shown.draining
    return float(shown.demand.max()), float(max(supply.max(), shown.wanted.max()))


def small(counted: Counted) -> str:
    """The same for one service of many: demand behind, ready and starting in front, each on its own scale."""
    shown = counted.timeline
    most_requests, most_gpus = peaks(shown)
    x = time_scale(len(shown.demand) * shown.width, 2.0, _SMALL_WIDTH - 2.0)
    requests = Scale(0.0, max(most_requests, 1e-9), 66.0, 4.0)
    gpus = Scale(0.0, max(most_gpus, 1.0), 66.0, 22.0)
    parts = [
        _misses(shown, x, 4.0, 66.0),
        area(steps(shown.demand, x, requests, 200), 66.0, "demand"),
        area(steps(shown.ready + shown.starting, x, gpus, 200), 66.0, "starting thin"),
        area(steps(shown.ready, x, gpus, 200), 66.0, "ready thin"),
        element("line", x1=x.begin, x2=x.end, y1=66.0, y2=66.0, cls="base"),
        text(2, 80, f"most {most_requests:.3g} requests, {most_gpus:.3g} GPUs"),
    ]
    return chart(_SMALL_WIDTH, 84.0, "".join(parts), f"{counted.name}: demand and GPUs over time")


def _stack(shown: Timeline, x: Scale, y: Scale) -> list[str]:
    """Ready lowest, then draining, then starting: what serves is what stands on the ground."""
    ready: F8 = shown.ready
    draining: F8 = ready + shown.draining
    starting: F8 = draining + shown.starting
    return [
        area(steps(starting, x, y), y.begin, "starting"),
        area(steps(draining, x, y), y.begin, "draining"),
        area(steps(ready, x, y), y.begin, "ready"),
    ]


def _misses(shown: Timeline, x: Scale, top: float, bottom: float) -> str:
    """Behind everything: the darker, the larger the share of requests that missed their objective."""
    each = max(1, math.ceil(len(shown.ended) / _BLOCKS))
    parts = []
    for begin in range(0, len(shown.ended), each):
        ended = int(shown.ended[begin : begin + each].sum())
        missed = int(shown.missed[begin : begin + each].sum())
        if not missed:
            continue
        left, right = x(begin * shown.width), x((begin + each) * shown.width)
        share = missed / ended
        at = clock(begin * shown.width)
        parts.append(
            element(
                "rect",
                title(f"{at}: {share_shown(share)} of {ended} requests missed their objective"),
                x=left,
                y=top,
                width=max(0.5, right - left),
                height=bottom - top,
                cls="missed",
                fill_opacity=f"{0.12 + 0.5 * share:.2f}",
            )
        )
    return "".join(parts)


def _warm_up(warm_up: float, x: Scale, top: float, bottom: float) -> str:
    if warm_up <= 0.0:
        return ""
    return element(
        "rect",
        title("warm-up: not counted"),
        x=x.begin,
        y=top,
        width=x(warm_up) - x.begin,
        height=bottom - top,
        cls="warmup",
    )


def _count(value: float) -> str:
    return f"{value:g}" if value < 10_000 else f"{value / 1000:g}k"
