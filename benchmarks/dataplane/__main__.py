"""`python -m benchmarks.dataplane`: measure, print the aims, and with `--write` write the page.

Ends with 0 when every aim that was measured is met, 1 when one is missed, 2 when something needed is not there.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from benchmarks.dataplane.aims import judge
from benchmarks.dataplane.loads import Load
from benchmarks.dataplane.page import machine, page, verdicts
from benchmarks.dataplane.processes import SetupError
from benchmarks.dataplane.proxies import Proxy
from benchmarks.dataplane.readings import Reading, Readings
from benchmarks.dataplane.rounds import Plan, run

_Kind = TypeVar("_Kind", bound=Enum)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    options = _parser().parse_args(arguments)
    plan = Plan(
        rounds=1 if options.quick else options.rounds,
        seconds=1 if options.quick else options.seconds,
        loads=options.loads,
        proxies=options.proxies,
    )
    readings = Readings()

    def note(reading: Reading) -> None:
        readings.add(reading)
        print(
            f"round {reading.round}  {reading.load.value:<12}{reading.proxy.value:<23}"
            f"{reading.cpu_us:>10.1f} us CPU {reading.answered_per_second:>9.0f}/s"
            f"{reading.p50_ms:>9.2f} ms p50{reading.p99_ms:>9.2f} ms p99"
            + (f"  {reading.broken} broken" if reading.broken else ""),
            flush=True,
        )
        if options.readings:
            readings.write(options.readings)

    try:
        if options.readings:
            readings = Readings.read(options.readings)
        if plan.rounds:
            run(plan, readings.rounds + 1, note)
    except SetupError as error:
        sys.stderr.write(f"benchmarks.dataplane: {error}\n")
        return 2
    judged = judge(readings)
    print(verdicts(judged))
    if options.write:
        options.write.write_text(page(readings, judged, machine()))
    return 0 if all(verdict.met is not False for verdict in judged) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dataplane", description="What a proxied request costs.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--rounds", type=_count, default=5, metavar="N", help="each round measures every proxy under every load (5)")
    add("--seconds", type=_count, default=2, metavar="S", help="length of one window (2)")
    add("--loads", type=_several(Load), default=tuple(Load), metavar="A,B", help=_names(Load))
    add("--proxies", type=_several(Proxy), default=tuple(Proxy), metavar="A,B", help=_names(Proxy))
    add("--quick", action="store_true", help="one round of short windows: shows that all of it works, not figures")
    add("--readings", type=Path, metavar="FILE", help="add the rounds to those in this file; --rounds 0 adds none")
    add("--write", type=Path, metavar="FILE", help="write the page of results: docs/performance.md")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 4:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 9999, not {text!r:.80}")
    return int(text)


def _names(kind: type[Enum]) -> str:
    return ", ".join(str(member.value) for member in kind)


def _several(kind: type[_Kind]) -> Callable[[str], tuple[_Kind, ...]]:
    """Reads members of `kind` by their values, with commas between; in the order of `kind`, each once."""

    def read(text: str) -> tuple[_Kind, ...]:
        names = text.split(",")
        for name in names:
            if name not in {member.value for member in kind}:
                raise argparse.ArgumentTypeError(f"{name!r:.80} is none of {_names(kind)}")
        return tuple(member for member in kind if member.value in names)

    return read


if __name__ == "__main__":
    # As an exception, so that what was started is ended too; by itself the signal would leave it running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main(sys.argv[1:]))
