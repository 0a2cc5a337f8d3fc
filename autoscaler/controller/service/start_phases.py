"""Where the time of a start goes: one phase after the other, measured for each service.

decided → created → scheduled → prepared → started → ready → first request. What helps against a slow wake depends on
which of these it is: a node that has to come, a model that is fetched, an image that is pulled, weights that load.

Kubernetes tells times in whole seconds, by the clocks of its machines. So a step that is seen to happen counts when it
was seen, by our own clock; what a cluster says of it is used only for what happened before we looked, and for what a
kubelet tells up to seconds late: then the middle of the second that it names is nearer. When a model is ready is told
by its queue proxy, which asks it every few milliseconds; a kubelet asks once a second.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from autoscaler.cluster.interface import Replica, ReplicaPhase

KEPT_STARTS = 50
# A whole second that is less than this away from now has just been: its fraction was cut off, and clocks differ.
_TRUNCATED = 1.5
# Further away from now than this is not late any more: then the clocks differ.
_KUBELET_IS_LATE = 3.0
# What comes later than this after an order is not what was ordered.
_ORDER_LASTS = 10.0
# How long a replica's queue proxy may take to say when its model was ready, before the cluster's word is taken.
_PROXY_SPEAKS_WITHIN = 3.0


class StartPhase(Enum):
    """What a start goes through. Each lasts from the end of the one before it that is known.

    CREATED        from the decision until the cluster has the replica
    SCHEDULED      it has a node and its GPUs
    PREPARED       what comes before its containers is done: its model was fetched
    STARTED        its image is there and the model's process runs
    READY          the model is loaded and answers its probe
    FIRST_REQUEST  it was given its first request
    """

    CREATED = "created"
    SCHEDULED = "scheduled"
    PREPARED = "prepared"
    STARTED = "started"
    READY = "ready"
    FIRST_REQUEST = "first-request"


_TOLD_BY_KUBELET = (StartPhase.PREPARED, StartPhase.STARTED)


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """One phase of one start, in seconds."""

    phase: StartPhase
    seconds: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of the last starts, in seconds: nearest-rank quantiles, as many values as `count`."""

    count: int
    p50: float
    p90: float
    longest: float
    last: float


@dataclass(slots=True)
class _Start:
    """One replica that is starting or has started.

    watched   it came while we looked, so what is seen of it is when it happened
    ordered_at  when it was decided that it shall be; None where that is unknown
    shown_ready_at  when the cluster showed it ready
    told      its phases up to READY are in the distributions
    """

    watched: bool
    ordered_at: float | None
    marks: dict[StartPhase, float] = field(default_factory=dict)
    shown_ready_at: float | None = None
    told: bool = False


class StartLog:
    """The starts of one service's replicas."""

    def __init__(self) -> None:
        self._starts: dict[str, _Start] = {}
        self._untold: list[_Start] = []  # at least those that are not
        self._durations: dict[StartPhase, deque[float]] = {}
        self._fresh: list[PhaseTime] = []
        self._looked = False
        self._ordered: tuple[float, int] | None = None

    def decided(self, at: float, replicas: int) -> None:
        """More replicas were decided. Until the order is taken the same is decided again; that is still the same."""
        ordered = self._ordered
        if ordered is None or ordered[1] != replicas or at - ordered[0] > _ORDER_LASTS:
            self._ordered = (at, replicas)

    def viewed(self, replicas: Iterable[Replica], now: float) -> None:
        """Take the cluster's view."""
        replicas = tuple(replicas)
        names = {replica.name for replica in replicas}
        self._starts = {name: start for name, start in self._starts.items() if name in names}
        for replica in replicas:
            self._viewed(replica, now)
        self._looked = True
        self.settle(now)

    def model_ready(self, replica: str, at: float) -> None:
        """Its queue proxy says that the model was ready at `at`."""
        start = self._starts.get(replica)
        if start is not None and StartPhase.READY not in start.marks:
            start.marks[StartPhase.READY] = at
            self._tell(start)

    def first_request(self, replica: str, at: float) -> None:
        """Its queue proxy says that it forwarded the first request at `at`."""
        start = self._starts.get(replica)
        if start is None or StartPhase.FIRST_REQUEST in start.marks:
            return
        start.marks[StartPhase.FIRST_REQUEST] = at
        if start.told and start.watched:
            self._add(StartPhase.FIRST_REQUEST, at - start.marks[StartPhase.READY])

    def settle(self, now: float) -> None:
        """Take the cluster's word for replicas whose queue proxy has not spoken in time."""
        if not self._untold:  # nearly always: it is asked in every evaluation
            return
        self._untold = [start for start in self._starts.values() if not start.told]
        for start in self._untold:
            ready_at = start.shown_ready_at
            if ready_at is None:
                continue
            if not start.watched or now - ready_at > _PROXY_SPEAKS_WITHIN:
                start.marks.setdefault(StartPhase.READY, ready_at)
            self._tell(start)

    def corrected(self, replica: Replica) -> Replica:
        """The replica with its times as we know them."""
        start = self._starts.get(replica.name)
        if start is None:
            return replica
        ready_at = replica.ready_at
        if ready_at is not None:
            ready_at = start.marks.get(StartPhase.READY, start.shown_ready_at)
        return replace(replica, created_at=start.marks[StartPhase.CREATED], ready_at=ready_at)

    def take(self) -> tuple[PhaseTime, ...]:
        """What was measured since the last time."""
        if not self._fresh:
            return ()
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    @property
    def distributions(self) -> dict[StartPhase, Distribution]:
        """Of each phase that was measured, in their order."""
        return {phase: _distribution(self._durations[phase]) for phase in StartPhase if phase in self._durations}

    @property
    def samples(self) -> dict[StartPhase, tuple[float, ...]]:
        """What the distributions are of, in seconds, the oldest first."""
        return {phase: tuple(self._durations[phase]) for phase in StartPhase if phase in self._durations}

    def _viewed(self, replica: Replica, now: float) -> None:
        start = self._starts.get(replica.name)
        seen_before = start is not None
        if start is None:
            start = self._starts[replica.name] = _Start(self._looked, self._ordered_for_one_that_came(now))
            self._untold.append(start)

        def moment(reported: float, phase: StartPhase) -> float:
            if phase in _TOLD_BY_KUBELET and 0.0 <= now - reported < _KUBELET_IS_LATE:
                return min(now, reported + 0.5)
            if seen_before:
                return now  # the last view was without it
            whole = reported == math.floor(reported)
            return now if start.watched and whole and abs(now - reported) < _TRUNCATED else min(reported, now)

        steps = {
            StartPhase.CREATED: replica.created_at,
            StartPhase.SCHEDULED: replica.scheduled_at,
            StartPhase.PREPARED: replica.prepared_at,
            StartPhase.STARTED: replica.started_at,
        }
        for phase, reported in steps.items():
            if reported is not None and phase not in start.marks:
                start.marks[phase] = moment(reported, phase)
        if replica.phase is ReplicaPhase.READY and replica.ready_at is not None and start.shown_ready_at is None:
            start.shown_ready_at = moment(replica.ready_at, StartPhase.READY)

    def _ordered_for_one_that_came(self, now: float) -> float | None:
        """A replica that comes long after an order, or that was there before us, was not what was ordered."""
        if not self._looked or self._ordered is None or not 0.0 <= now - self._ordered[0] <= _ORDER_LASTS:
            return None
        return self._ordered[0]

    def _tell(self, start: _Start) -> None:
        """Once it is ready by both accounts, what each phase took: until then a step may still be heard of late."""
        ready_at = start.marks.get(StartPhase.READY)
        if start.told or ready_at is None or start.shown_ready_at is None:
            return
        start.told = True
        before = start.ordered_at
        for phase in StartPhase:
            mark = start.marks.get(phase)
            if mark is None or (phase is StartPhase.FIRST_REQUEST and not start.watched):
                continue
            if phase is not StartPhase.FIRST_REQUEST:
                mark = min(mark, ready_at)  # a kubelet tells that a container runs up to a second late
            if before is not None:
                self._add(phase, mark - before)
                mark = max(mark, before)
            before = mark

    def _add(self, phase: StartPhase, seconds: float) -> None:
        seconds = max(0.0, seconds)
        self._durations.setdefault(phase, deque(maxlen=KEPT_STARTS)).append(seconds)
        self._fresh.append(PhaseTime(phase, seconds))


def _distribution(durations: Iterable[float]) -> Distribution:
    kept = tuple(durations)
    ordered = sorted(kept)
    count = len(ordered)
    return Distribution(
        count=count,
        p50=ordered[math.ceil(0.5 * count) - 1],
        p90=ordered[math.ceil(0.9 * count) - 1],
        longest=ordered[-1],
        last=kept[-1],
    )
