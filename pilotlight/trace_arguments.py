"""The arguments with which a command takes a trace: a file or a generator, how it is read, what is made of it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from pilotlight import arguments
from pilotlight.errors import CommandError
from simulations.traces import transforms
from simulations.traces.notation import seconds
from simulations.traces.opening import FORMATS, open_or_generate
from simulations.traces.options import OpenedTrace, ReadOptions
from simulations.traces.source import skipped_rows
from simulations.traces.trace import Trace, TraceError

_LOAD = arguments.between(1e-9, transforms.MOST_LOAD, "a factor")

TRACE_HELP = """\
a TRACE is a file, recognised by what it begins with (gzip or not), or a generator:
  poisson:rate=20,span=1d,seconds=lognormal(1.5,6)
  diurnal:mean=5,peak=1.8,span=7d,services=10,zipf=1.2+spike:base=0,height=80,at=2h,width=5m,span=7d
"""


def add_trace_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The trace itself, or any number of them as `traces`, and everything that `opened_trace` looks at."""
    about = "a file, or a generator like poisson:rate=20,span=1d"
    if several:
        parser.add_argument("traces", nargs="*", metavar="TRACE", help=f"{about}; may be several")
    else:
        parser.add_argument("trace", metavar="TRACE", help=about)
    reading = parser.add_argument_group("reading the trace")
    names = ", ".join(known.name for known in FORMATS)
    reading.add_argument("--format", metavar="NAME", help=f"do not guess; one of {names}")
    reading.add_argument("--skip-bad", action="store_true", help="count rows that cannot be used instead of ending")
    reading.add_argument("--durations", type=Path, metavar="FILE", help="durations that belong to a file of counts")
    reading.add_argument("--tokens", type=Path, metavar="FILE", help="token lengths that belong to a file of rates")
    reading.add_argument(
        "--trace-seed", type=arguments.whole(0, 2**53), default=1, metavar="N", help="of what is drawn (%(default)s)"
    )
    changing = parser.add_argument_group("changing the trace")
    changing.add_argument(
        "--service", action="append", metavar="NAME", help="only this one; may be given several times"
    )
    changing.add_argument("--from", dest="begin", type=_time, metavar="TIME", help="begin here: 90s, 5m, 1.5h, 2d")
    changing.add_argument("--to", dest="end", type=_time, metavar="TIME", help="end here")
    changing.add_argument("--load", type=_LOAD, default=1.0, metavar="X", help="X times the requests (%(default)s)")
    changing.add_argument(
        "--burstiness",
        type=arguments.between(0, 10, "a number"),
        default=1.0,
        metavar="B",
        help="rates to the power of B, with the same mean: above 1 is burstier (%(default)s)",
    )
    changing.add_argument("--repeat", type=arguments.whole(1, 10_000), default=1, metavar="N", help="N times in a row")


def opened_trace(given: argparse.Namespace, text: str | None = None) -> tuple[OpenedTrace, Trace]:
    """What was recognised, and the trace with all changes made to it; `text` where there are several of them.

    Raises CommandError.
    """
    options = ReadOptions(
        skip_bad=given.skip_bad,
        seed=given.trace_seed,
        load=given.load,
        durations=given.durations,
        tokens=given.tokens,
    )
    try:
        opened = open_or_generate(given.trace if text is None else text, options, given.format)
        _check_beside(opened, given)
        trace = opened.trace
        if given.service:
            trace = transforms.select(trace, given.service)
        if given.begin is not None or given.end is not None:
            trace = transforms.window(trace, given.begin or 0.0, math.inf if given.end is None else given.end)
        if given.burstiness != 1.0:
            trace = transforms.warp_burstiness(trace, given.burstiness)
        return opened, transforms.repeat(trace, given.repeat)
    except TraceError as error:
        raise CommandError(str(error)) from error


def _check_beside(opened: OpenedTrace, given: argparse.Namespace) -> None:
    """A file that nobody would read is a mistake of the user's. Raises TraceError."""
    for flag, path, form in (
        ("--durations", given.durations, "azure-functions-2019"),
        ("--tokens", given.tokens, "servegen-rates"),
    ):
        if path is not None and opened.format != form:
            raise TraceError(f"{flag} {path}: goes with a trace of format {form}, and this one is {opened.format}")


def remarks(opened: OpenedTrace) -> list[str]:
    """What the user should know of how the trace was read, a line each."""
    lines = [opened.recognised, *opened.remarks]
    if opened.skipped:
        lines.append(f"{skipped_rows(opened.skipped)}; the first: {opened.first_bad}")
    return lines


def _time(text: str) -> float:
    try:
        return seconds(text)
    except TraceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
