"""Traces made from other traces: some services, a stretch of time, more or less load, more or less bursts, again.

Each is a trace itself, streamed from the one below. What is drawn comes from a seed and the number of a chunk, and the
digest says what was done to what.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulations.traces.counts import CountsTrace
from simulations.traces.generators import GeneratedTrace, MixedTrace
from simulations.traces.randomness import stream
from simulations.traces.servegen import RatesTrace
from simulations.traces.trace import (
    DRAWN_ROWS,
    Floats,
    Ints,
    Requests,
    Trace,
    TraceError,
    cut,
    digest_of,
    in_order,
    rechunked,
)

MOST_LOAD = 1000.0
_WARP_BIN_SECONDS = 60.0
_MOST_WARP_BINS = 5_000_000


@dataclass(frozen=True, slots=True)
class Derived:
    """A trace made from the one below; what it does not change is as it is there. What was done, its digest says."""

    below: Trace

    @property
    def name(self) -> str:
        return self.below.name

    @property
    def services(self) -> tuple[str, ...]:
        return self.below.services

    @property
    def span(self) -> float:
        return self.below.span


@dataclass(frozen=True, slots=True)
class _Selected(Derived):
    """Only some services."""

    chosen: tuple[str, ...]
    places: Ints

    @property
    def services(self) -> tuple[str, ...]:
        return self.chosen

    @property
    def digest(self) -> str:
        return digest_of({"select": list(self.chosen), "of": self.below.digest})

    def chunks(self) -> Iterator[Requests]:
        return rechunked(self._kept())

    def _kept(self) -> Iterator[Requests]:
        for rows in self.below.chunks():
            place = self.places[rows.service]
            kept = place >= 0
            if bool(kept.any()):
                yield replace(rows.take(kept), service=place[kept])


@dataclass(frozen=True, slots=True)
class _Window(Derived):
    """A stretch of time, whose beginning is second 0."""

    begin: float
    end: float

    @property
    def span(self) -> float:
        return self.end - self.begin

    @property
    def digest(self) -> str:
        return digest_of({"window": [self.begin, self.end], "of": self.below.digest})

    def chunks(self) -> Iterator[Requests]:
        for rows in self.below.chunks():
            if rows.arrival[0] >= self.end:
                return
            first, last = np.searchsorted(rows.arrival, [self.begin, self.end], side="left").tolist()
            if first < last:
                kept = rows.take(slice(first, last))
                since = np.minimum(kept.arrival - self.begin, np.nextafter(self.span, 0.0))
                yield replace(kept, arrival=since)


@dataclass(frozen=True, slots=True)
class _Scaled(Derived):
    """More or fewer requests: each is there a number of times, the fraction by a draw.

    The first of them stays where it is; further ones fall anywhere until the next request, so that twice the load is
    not the same load in pairs.
    """

    factor: float
    seed: int

    @property
    def digest(self) -> str:
        return digest_of({"load": self.factor, "seed": self.seed, "of": self.below.digest})

    def chunks(self) -> Iterator[Requests]:
        return rechunked(self._copied())

    def _copied(self) -> Iterator[Requests]:
        chunks = rechunked(self.below.chunks(), DRAWN_ROWS)
        rows = next(chunks, None)
        number = 0
        while rows is not None:
            following = next(chunks, None)
            after = self.span if following is None else float(following.arrival[0])
            copied = self._copy(rows, after, number)
            if len(copied):
                yield from cut(copied)
            rows, number = following, number + 1

    def _copy(self, rows: Requests, after: float, number: int) -> Requests:
        random = stream(self.seed, "load", number)
        whole = int(self.factor)
        copies = whole + (random.random(len(rows)) < self.factor - whole)
        which = np.repeat(np.arange(len(rows)), copies)
        first = np.ones(len(which), np.bool_)
        first[1:] = which[1:] != which[:-1]
        gap = np.append(rows.arrival[1:], after) - rows.arrival
        arrival = rows.arrival[which] + np.where(first, 0.0, random.random(len(which)) * gap[which])
        arrival = np.minimum(arrival, np.nextafter(self.span, 0.0))
        return in_order(replace(rows.take(which), arrival=arrival))


@dataclass(frozen=True, slots=True)
class _Warped(Derived):
    """The same requests on another clock: `at` seconds of the trace below are `to` seconds here, evenly between."""

    burstiness: float
    at: Floats
    to: Floats

    @property
    def digest(self) -> str:
        return digest_of({"burstiness": self.burstiness, "of": self.below.digest})

    def chunks(self) -> Iterator[Requests]:
        for rows in self.below.chunks():
            arrival = np.minimum(np.interp(rows.arrival, self.at, self.to), np.nextafter(self.span, 0.0))
            yield replace(rows, arrival=arrival)


@dataclass(frozen=True, slots=True)
class _Repeated(Derived):
    """The trace several times, one after the other."""

    times: int

    @property
    def span(self) -> float:
        return self.below.span * self.times

    @property
    def digest(self) -> str:
        return digest_of({"repeat": self.times, "of": self.below.digest})

    def chunks(self) -> Iterator[Requests]:
        for time in range(self.times):
            for rows in self.below.chunks():
                end = np.nextafter(self.below.span * (time + 1), 0.0)
                yield replace(rows, arrival=np.minimum(rows.arrival + self.below.span * time, end))


def select(trace: Trace, services: Sequence[str]) -> Trace:
    """Only these services, in this order. Raises TraceError for one that the trace does not have."""
    unknown = [service for service in services if service not in trace.services]
    if unknown or not services:
        there = ", ".join(trace.services[:20]) + (", …" if len(trace.services) > 20 else "")
        raise TraceError(f"{', '.join(unknown) or 'no service'} is not in {trace.name}; it has {there}")
    if len(set(services)) < len(services):
        raise TraceError("a service is selected twice")
    places = np.full(len(trace.services), -1, np.int32)
    for place, service in enumerate(services):
        places[trace.services.index(service)] = place
    return _Selected(trace, tuple(services), places)


def window(trace: Trace, begin: float, end: float) -> Trace:
    """From `begin` to before `end`, in seconds of the trace. Raises TraceError when it is not within the trace."""
    if not 0.0 <= begin < end or begin >= trace.span:
        raise TraceError(f"{begin:g} to {end:g} s is not a stretch of {trace.name}, which has {trace.span:g} s")
    return _Window(trace, float(begin), min(float(end), trace.span))


def scale_load(trace: Trace, factor: float, seed: int = 1) -> Trace:
    """`factor` times the requests, at the same times of day. Raises TraceError.

    A trace that is made from rates or counts is made from others, with gaps that vary as they did; of any other,
    requests are copied or left out.
    """
    if not 0.0 < factor <= MOST_LOAD:
        raise TraceError(f"load is more than 0 and up to {MOST_LOAD:g} times, not {factor:g}")
    if factor == 1.0:
        return trace
    if isinstance(trace, CountsTrace | RatesTrace | GeneratedTrace):
        return trace.scaled(factor)
    if isinstance(trace, MixedTrace):
        return replace(trace, parts=tuple(scale_load(part, factor, seed) for part in trace.parts))
    return _Scaled(trace, factor, seed)


def warp_burstiness(trace: Trace, burstiness: float) -> Trace:
    """The same requests in the same time, with rates λ changed to be proportional to λ^burstiness.

    Above 1 busy minutes become busier and quiet ones quieter; 0 makes all bins with requests alike; 1 changes nothing.
    A bin's length is changed to do so, by λ^(1 − burstiness); empty bins count as half a request. Raises TraceError.
    """
    if not 0.0 <= burstiness <= 10.0:
        raise TraceError(f"burstiness is from 0 to 10, not {burstiness:g}")
    bins = int(np.ceil(trace.span / _WARP_BIN_SECONDS))
    if bins > _MOST_WARP_BINS:
        raise TraceError(f"{bins} bins of {_WARP_BIN_SECONDS:g} s; {_MOST_WARP_BINS} are allowed")
    counts = np.zeros(bins)
    for rows in trace.chunks():
        counts += np.bincount((rows.arrival / _WARP_BIN_SECONDS).astype(np.int64), minlength=bins)[:bins]
    edges = np.minimum(np.arange(bins + 1) * _WARP_BIN_SECONDS, trace.span)
    # By the logarithm and from the largest one: powers of large counts would overflow.
    weight = (1.0 - burstiness) * np.log(np.maximum(counts, 0.5)) + np.log(np.diff(edges))
    length = np.exp(weight - weight.max())
    to = np.concatenate(([0.0], np.cumsum(length))) * (trace.span / length.sum())
    return _Warped(trace, burstiness, edges, np.minimum(to, trace.span))


def repeat(trace: Trace, times: int) -> Trace:
    """The trace `times` times in a row. Raises TraceError."""
    if not 1 <= times <= 10_000:
        raise TraceError(f"a trace can be repeated 1 to 10000 times, not {times}")
    return trace if times == 1 else _Repeated(trace, times)
