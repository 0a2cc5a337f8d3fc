"""Traces that are made and not recorded: a rate over time, the variation of gaps, services, durations, lengths.

A generated trace is a few numbers: whoever has them and the seed has the trace. It is made in blocks of equal expected
size, each from random numbers of its own, so that any reading gives the same requests, whatever was read before.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulations.traces.distributions import Distribution
from simulations.traces.randomness import stream
from simulations.traces.rate_curves import RateCurve
from simulations.traces.renewal import Gaps, renewals
from simulations.traces.trace import (
    MOST_TOKENS,
    NOT_RECORDED,
    Floats,
    Ints,
    Requests,
    Trace,
    concatenated,
    cut,
    digest_of,
    in_order,
    rechunked,
)

GENERATOR_VERSION = 1
_BLOCK_REQUESTS = 16_384.0


@dataclass(frozen=True, slots=True)
class GeneratedTrace:
    """Requests that come at the rate of a curve; see Trace.

    cv            of the gaps between requests while the rate stays; 1 with gamma gaps is a Poisson process
    popularity    share of each service, which is drawn for each request on its own; sums to 1
    seconds, input_tokens, output_tokens  None: not recorded
    notation      what it was made from, for the digest
    """

    name: str
    services: tuple[str, ...]
    curve: RateCurve
    cv: float
    gaps: Gaps
    popularity: Floats
    seconds: Distribution | None
    input_tokens: Distribution | None
    output_tokens: Distribution | None
    seed: int
    notation: str

    @property
    def span(self) -> float:
        """See Trace."""
        return float(self.curve.edges[-1])

    @property
    def digest(self) -> str:
        """See Trace."""
        return digest_of({"generator": self.notation, "seed": self.seed, "version": GENERATOR_VERSION})

    @property
    def expected(self) -> float:
        """How many requests it has on average."""
        return float(self.curve.expected[-1])

    def scaled(self, factor: float) -> GeneratedTrace:
        """At rates multiplied by `factor`; gaps vary as they did."""
        curve = RateCurve(self.curve.edges, self.curve.rates * factor)
        return replace(self, curve=curve, notation=f"{self.notation},load={factor!r}")

    def chunks(self) -> Iterator[Requests]:
        """See Trace."""
        return rechunked(self._blocks())

    def _blocks(self) -> Iterator[Requests]:
        expected, before = self.curve.expected, 0.0
        block = 0
        while before < expected[-1]:
            length = min(_BLOCK_REQUESTS, float(expected[-1]) - before)
            random = stream(self.seed, self.notation, block)
            clock = before + renewals(random, length, self.cv, self.gaps)
            if len(clock):
                arrival = np.minimum(np.interp(clock, expected, self.curve.edges), np.nextafter(self.span, 0.0))
                yield from cut(self._described(arrival, random))
            before, block = before + length, block + 1

    def _described(self, arrival: Floats, random: np.random.Generator) -> Requests:
        rows = len(arrival)
        shares = np.cumsum(self.popularity)
        service = np.minimum(np.searchsorted(shares, random.random(rows), side="right"), len(shares) - 1)
        return Requests(
            arrival=arrival,
            service=service.astype(np.int32),
            input_tokens=_tokens(self.input_tokens, random, rows),
            output_tokens=_tokens(self.output_tokens, random, rows),
            seconds=np.full(rows, np.nan) if self.seconds is None else self.seconds.draw(random, rows),
        )


def zipf(services: int, exponent: float) -> Floats:
    """Shares of services: the k-th is proportional to 1 / k^exponent; 0 makes all alike."""
    weights = np.arange(1, services + 1, dtype=np.float64) ** -exponent
    shares: Floats = weights / weights.sum()
    return shares


@dataclass(frozen=True, slots=True)
class MixedTrace:
    """Several traces at once; services of one name are one service. See Trace."""

    name: str
    parts: tuple[Trace, ...]

    @property
    def services(self) -> tuple[str, ...]:
        """See Trace."""
        return tuple(dict.fromkeys(service for part in self.parts for service in part.services))

    @property
    def span(self) -> float:
        """See Trace."""
        return max(part.span for part in self.parts)

    @property
    def digest(self) -> str:
        """See Trace."""
        return digest_of({"mix": [part.digest for part in self.parts]})

    def chunks(self) -> Iterator[Requests]:
        """See Trace."""
        return rechunked(self._together())

    def _together(self) -> Iterator[Requests]:
        """Up to the earliest end of what has been read of each part, nothing that is still to come can be earlier."""
        index = {name: at for at, name in enumerate(self.services)}
        readers = [_renamed(part.chunks(), [index[name] for name in part.services]) for part in self.parts]
        ends: list[tuple[float, int]] = []
        waiting: list[Requests] = []
        for at, reader in enumerate(readers):
            _read(reader, at, waiting, ends)
        while ends:
            until, at = heapq.heappop(ends)
            together = in_order(concatenated(waiting))
            ready = int(np.searchsorted(together.arrival, until, side="right"))
            yield from cut(together.take(slice(0, ready)))
            waiting = [together.take(slice(ready, len(together)))] if ready < len(together) else []
            _read(readers[at], at, waiting, ends)
        if waiting:
            yield from cut(in_order(concatenated(waiting)))


def mixed(name: str, parts: Sequence[Trace]) -> Trace:
    """The parts together, as one trace."""
    return parts[0] if len(parts) == 1 else MixedTrace(name, tuple(parts))


def _read(reader: Iterator[Requests], at: int, waiting: list[Requests], ends: list[tuple[float, int]]) -> None:
    rows = next(reader, None)
    if rows is not None:
        waiting.append(rows)
        heapq.heappush(ends, (float(rows.arrival[-1]), at))


def _renamed(chunks: Iterator[Requests], places: list[int]) -> Iterator[Requests]:
    new = np.array(places, np.int32)
    for rows in chunks:
        yield replace(rows, service=new[rows.service])


def _tokens(lengths: Distribution | None, random: np.random.Generator, rows: int) -> Ints:
    if lengths is None:
        return np.full(rows, NOT_RECORDED, np.int32)
    return np.clip(np.rint(lengths.draw(random, rows)), 1, MOST_TOKENS).astype(np.int32)
