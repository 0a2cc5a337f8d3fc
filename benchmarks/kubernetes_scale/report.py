"""What was measured, for a terminal and for the page. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.kubernetes_page import table
from benchmarks.kubernetes_scale.growth import Growth
from benchmarks.kubernetes_scale.live import Live, Start

AIM_PASS_MS, AIM_CORES = 75.0, 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An aim, what was measured, and whether it is met."""

    aim: str
    measured: str
    met: bool


def p95(values: Sequence[float]) -> float:
    """Nearest rank. Raises IndexError on nothing."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def verdicts(live: Live) -> tuple[Verdict, ...]:
    """Of the run with a real API server."""
    worst = p95(live.passes)
    return (
        Verdict(f"decision pass, p95 < {AIM_PASS_MS:g} ms", f"{worst:.0f} ms", worst < AIM_PASS_MS),
        Verdict(f"controller ≤ {AIM_CORES:g} core", f"{live.cores:.2f} cores", live.cores <= AIM_CORES),
    )


def section(live: Live | None, growth: Sequence[Growth], surroundings: str) -> str:
    """The section of the page."""
    parts = ["## Thousands of services", surroundings]
    if live is not None:
        parts += [_live(live), _verdicts(verdicts(live))]
    if growth:
        parts += ["### How cost grows", _GROWTH, _growth(growth)]
    return "\n\n".join([*parts, "    make bench-scale"])


def _live(live: Live) -> str:
    minutes = live.seconds / 60
    requests = ", ".join(f"{what} {count / minutes:.0f}" for what, count in live.requests.most_common())
    rows = [
        ["services, pods (KWOK), each read once a second", f"{live.services}, {live.pods}"],
        ["deciding on every service once: p50, p95, most", _passes(live.passes)],
        ["controller, cores at rest", f"{live.cores:.2f}"],
        ["controller, MiB resident", f"{live.resident_mib:.0f}"],
        ["an activator, cores at rest", f"{live.activator_cores:.2f}"],
        ["from a first controller's start to decisions on all services", _start(live.first)],
        ["from the start of one that takes over when it is killed, likewise", _start(live.successor)],
        [
            "requests to the API server, a second",
            f"{sum(live.requests.values()) / live.seconds:.2f}",
        ],
        ["of these, a minute", requests or "none"],
    ]
    return table(["with a real API server, at rest", ""], rows)


def _start(start: Start) -> str:
    refused = f"{start.refused} requests" if start.refused else "no request"
    return f"{start.known_after:.1f} s, {start.processor:.1f} of processor; {refused} refused or late"


def _passes(passes: Sequence[float]) -> str:
    return f"{statistics.median(passes):.0f}, {p95(passes):.0f}, {max(passes):.0f} ms"


def _growth(growth: Sequence[Growth]) -> str:
    def row(what: str, values: Sequence[float], digits: int = 0) -> list[str]:
        return [what, *(f"{value:.{digits}f}" for value in values)]

    return table(
        ["services", *(f"{each.services:,}" for each in growth)],
        [
            row("deciding, three replicas each: ms of processor a second", [each.awake for each in growth]),
            row("deciding, all asleep", [each.asleep for each in growth]),
            row("reading what three replicas each say, from JSON", [each.heard for each in growth]),
            row("an activator's second, all idle: made", [each.push_made for each in growth], 1),
            row("the same, read by the controller", [each.push_read for each in growth], 1),
            row("the same, kilobytes", [each.push_kilobytes for each in growth]),
            row("one change told: ms for the table's text", [each.table_written for each in growth], 1),
            row("views of a cluster with three pods each: MiB, most", [each.view_mib for each in growth]),
            row("the same: seconds to the first view", [each.view_seconds for each in growth], 1),
            row("the same: ms for one pod's change", [each.change_milliseconds for each in growth], 1),
        ],
    )


def _verdicts(each: Sequence[Verdict]) -> str:
    return table(["aim", "measured", ""], [[v.aim, v.measured, "met" if v.met else "**missed**"] for v in each])


_GROWTH = """No API server and no connections: the parts of the controller, fed with generated objects and messages. A
thousand milliseconds a second are one core. What grows faster than the number of services would show here."""
