"""`pilotlight status`: one line for each service, and in a narrow terminal a second one with its URL and why."""

from __future__ import annotations

import sys

from pilotlight.controller_api import Body, Controller, parse, services_of
from pilotlight.terminal import cut, terminal_size, write_data

_HEADINGS = ("SERVICE", "STATE", "WANTED", "STARTING", "READY", "IN FLIGHT", "HELD", "GPU", "URL", "WHY")
_GPU, _URL = _HEADINGS.index("GPU"), _HEADINGS.index("URL") - len(_HEADINGS)
# With fewer columns than this for why, it has a line of its own.
_LEAST_WHY = 30


def run_status(controller: Controller, *, as_json: bool) -> int:
    """Print the state of every service. Raises CommandError."""
    answer = services_of(controller)
    if as_json:
        write_data(answer.decode(errors="replace"))
        return 0
    size = terminal_size()
    services = parse(answer).objects("services")
    print("\n".join(status_lines(services, None if size is None else size[0])))
    if not services:
        print("there is no service: no InferenceService has the annotation pilotlight.dev/scaling", file=sys.stderr)
    return 0


def status_lines(services: tuple[Body, ...], width: int | None = None) -> list[str]:
    """The table, its headings first; columns as wide as their widest entry. GPUs have one where some are known.

    Where `width` columns leave no room for why, URL and why stand below the counts, which are never cut.
    """
    rows = [_HEADINGS, *map(_row, services)]
    if all(service.number("gpu_utilization") is None for service in services):
        rows = [row[:_GPU] + row[_GPU + 1 :] for row in rows]
    if width is None:
        return _aligned(rows)
    before_why = max(map(len, _aligned([row[:-1] for row in rows])))
    if before_why + 2 + _LEAST_WHY <= width:
        return [cut(line, width) for line in _aligned(rows)]
    counts = _aligned([row[:_URL] for row in rows])
    # The headings of the second line would say nothing that is not plain from what is in it.
    below = ["", *(f"  {'  '.join(cell for cell in row[_URL:] if cell not in ('', '-'))}" for row in rows[1:])]
    return [line for pair in zip(counts, (cut(line, width) for line in below), strict=True) for line in pair if line]


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def state_of(service: Body) -> str:
    """The phase, or why there is none; marked where replicas are only watched."""
    phase = service.text("phase") or ("not scaled" if service.objects("refused") else "unknown")
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
