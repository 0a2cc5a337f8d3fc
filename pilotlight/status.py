"""`pilotlight status`: one line for each service."""

from __future__ import annotations

import shutil
import sys

from pilotlight.controller_api import Body, Controller, parse, services_of

_HEADINGS = ("SERVICE", "STATE", "WANTED", "STARTING", "READY", "IN FLIGHT", "HELD", "GPU", "URL", "WHY")
_GPU = _HEADINGS.index("GPU")


def run_status(controller: Controller, *, as_json: bool) -> int:
    """Print the state of every service. Raises CommandError."""
    answer = services_of(controller)
    if as_json:
        print(answer.decode())
        return 0
    # Piped on, a line is whole; at a terminal one service is one line.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in status_lines(parse(answer).objects("services")):
        print(line if width is None or len(line) <= width else f"{line[: width - 1]}…")
    return 0


def status_lines(services: tuple[Body, ...]) -> list[str]:
    """The table, its headings first; columns as wide as their widest entry. GPUs have one where some are known."""
    rows = [_HEADINGS, *map(_row, services)]
    if all(service.number("gpu_utilization") is None for service in services):
        rows = [row[:_GPU] + row[_GPU + 1 :] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def state_of(service: Body) -> str:
    """The phase, or why there is none; marked where replicas are only watched."""
    phase = service.text("phase") or "unknown"
    mode = service.text("mode")
    if service.text("error"):
        return f"{phase}, error"
    return phase if mode in ("on", "") else f"{phase}, {mode}"


def shown(number: float | None) -> str:
    """A count; unknown is not zero."""
    return "?" if number is None else f"{number:.0f}"


def _share(number: float | None) -> str:
    return "?" if number is None else f"{number:.0%}"


def _row(service: Body) -> tuple[str, ...]:
    return (
        service.text("service"),
        state_of(service),
        shown(service.number("wanted")),
        shown(service.number("starting")),
        shown(service.number("ready")),
        shown(service.number("in_flight")),
        shown(service.number("held")),
        _share(service.number("gpu_utilization")),
        service.text("url") or "-",
        _why(service),
    )


def _why(service: Body) -> str:
    """What is wrong comes before what was decided: a terminal may not have room for both."""
    if service.text("error"):
        return service.text("error").split("\n")[0]
    trouble = service.text("trouble").split("\n")[0]
    return f"{trouble}. {service.text('explanation')}" if trouble else service.text("explanation")
