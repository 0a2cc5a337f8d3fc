"""Bounds of whole traces: demand and work of each service, streamed, so that a long trace needs no more memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from simulations.bounds.no_waiting import Demand
from simulations.bounds.service_seconds import ServiceSeconds
from simulations.bounds.waiting import Work, cover
from simulations.traces.trace import Floats, Trace, TraceError

_MOST_BINS = 20_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a bound needs to know of one service.

    slots          requests that a replica serves at a time
    start_seconds  L, from order to readiness
    wait_seconds   how late a request may be started; only bounds with waiting look at it
    gpus           of a replica
    """

    slots: int = 1
    start_seconds: float = 60.0
    wait_seconds: float = 0.0
    gpus: int = 1


def steps(trace: Trace, seconds: ServiceSeconds, slots: Sequence[int]) -> Iterator[tuple[int, Demand]]:
    """Replicas that each service needs if nobody waits, piece by piece: the service, and the next steps of its demand;
    those of one service together are what demand_of_requests gives. Raises TraceError."""
    running = [_Running(each) for each in slots]
    for rows in trace.chunks():
        took = seconds.of(rows)
        # All that is still to come is at or after this chunk's last arrival: what is earlier is settled.
        settled = float(rows.arrival[-1])
        for service in np.unique(rows.service).tolist():
            own = rows.service == service
            yield service, running[service].take(rows.arrival[own], took[own], settled)
    for service, each in enumerate(running):
        yield service, each.finish()


def demands(trace: Trace, seconds: ServiceSeconds, slots: Sequence[int]) -> tuple[Demand, ...]:
    """All steps of each service, in memory. Raises TraceError."""
    pieces: list[list[Demand]] = [[] for _ in slots]
    for service, piece in steps(trace, seconds, slots):
        pieces[service].append(piece)
    return tuple(
        Demand(np.concatenate([each.at for each in own]), np.concatenate([each.replicas for each in own]))
        for own in pieces
    )


def works(trace: Trace, terms: Sequence[Terms], seconds: ServiceSeconds, width: float) -> tuple[Work, ...]:
    """The work of each service in bins of `width` seconds, for bounds with waiting. Raises TraceError.

    What is in service after the end of the trace is work as well, up to as long again as the trace; more is left out.
    """
    bins = math.ceil(2.0 * trace.span / width) + 1
    if bins * len(terms) > _MOST_BINS:
        raise TraceError(
            f"{trace.name}: {bins} bins for each of {len(terms)} services; {_MOST_BINS} in all are allowed"
        )
    busy, counts = np.zeros((len(terms), bins)), np.zeros((len(terms), bins))
    instant = [0] * len(terms)
    last = 0
    for rows in trace.chunks():
        took = np.minimum(seconds.of(rows), 2.0 * trace.span - rows.arrival)
        last = max(last, int((rows.arrival + took).max() / width) + 1)
        for service in np.unique(rows.service).tolist():
            own = (rows.service == service) & (took > 0)
            busy[service] += cover(rows.arrival[own], took[own], width, bins, np.ones(int(own.sum())))
            counts[service] += cover(rows.arrival[own], took[own], width, bins, 1.0 / took[own])
            instant[service] += int(np.sum((rows.service == service) & (took <= 0)))
    return tuple(
        Work(
            name=trace.services[at],
            busy=busy[at, :last],
            requests=counts[at, :last],
            slots=each.slots,
            start_seconds=each.start_seconds,
            wait_seconds=each.wait_seconds,
            gpus=each.gpus,
            instant=instant[at],
        )
        for at, each in enumerate(terms)
    )


class _Running:
    """One service's changes of demand, kept until nothing can come before them any more."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._times, self._changes = np.empty(0), np.empty(0, np.int64)
        self._running, self._replicas = 0, 0

    def take(self, arrival: Floats, seconds: Floats, settled: float) -> Demand:
        """Requests that came before `settled` or at it. Returns the steps up to then."""
        one = np.ones(len(arrival), np.int64)
        self._times = np.concatenate((self._times, arrival, arrival + seconds))
        self._changes = np.concatenate((self._changes, one, -one))
        return self._settle(settled)

    def finish(self) -> Demand:
        """The last steps."""
        return self._settle(math.inf)

    def _settle(self, until: float) -> Demand:
        ready = self._times < until
        times, changes = self._times[ready], self._changes[ready]
        self._times, self._changes = self._times[~ready], self._changes[~ready]
        if not len(times):
            return Demand(np.empty(0), np.empty(0, np.int64))
        order = np.argsort(times, kind="stable")
        times, running = times[order], self._running + np.cumsum(changes[order])
        last = np.append(times[1:] != times[:-1], True)
        times, needed = times[last], -(-running[last] // self._slots)
        self._running = int(running[-1])
        changed = np.diff(needed, prepend=self._replicas) != 0
        self._replicas = int(needed[-1])
        return Demand(times[changed], needed[changed])
