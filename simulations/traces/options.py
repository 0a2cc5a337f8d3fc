"""What a user may say about how a trace is read, and what reading one found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulations.traces.source import Source
from simulations.traces.trace import Trace, digest_of


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a trace.

    skip_bad   count bad rows instead of ending at the first
    seed       of what is drawn where a format has only rates, counts or whole seconds
    load       this many times the requests; rates and counts are multiplied before requests are drawn
    durations  the file of durations that belongs to a file of counts; None: the one that lies beside it, if any
    tokens     the file of token lengths that belongs to a file of rates; None: the one that lies beside it, if any
    """

    skip_bad: bool = False
    seed: int = 1
    load: float = 1.0
    durations: Path | None = None
    tokens: Path | None = None


@dataclass(frozen=True, slots=True)
class OpenedTrace:
    """A trace, and what was recognised.

    format       its name, as `--format` takes it
    recognised   one sentence for the user: which format, by what
    skipped      bad rows that were left out
    first_bad    what was wrong with the first of them
    remarks      what a reader of results should know: rows that were left out on purpose, columns that were not used
    """

    trace: Trace
    format: str
    recognised: str
    skipped: int = 0
    first_bad: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """One format: how it is named and told apart, and how it is read.

    about       one line for lists of formats
    recognise   whether a file that begins like this is of this format
    open        read it; raises TraceError
    """

    name: str
    about: str
    recognise: Callable[[Source], bool]
    open: Callable[[Source, ReadOptions], OpenedTrace]


def input_digest(digests: dict[str, str], options: ReadOptions, *, drawn: bool) -> str:
    """A trace's digest: of the one file alone when nothing but it counts, else of all that counts."""
    if not drawn and len(digests) == 1:
        return next(iter(digests.values()))
    return digest_of({"inputs": digests, "seed": options.seed if drawn else None})
