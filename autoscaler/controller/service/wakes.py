"""How long a wake takes here, measured, with its parts.

A wake's parts answer the question that follows every slow first request: was it us, the machine, or the model? And
what wakes have taken is what a client that must be sent away is told in Retry-After.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from autoscaler.cluster.interface import Replica, ReplicaPhase

_KEPT_WAKES = 50
_KEPT_STARTS = 20


@dataclass(frozen=True, slots=True)
class Wake:
    """One wake from zero. Times are seconds since 1970, None while not reached.

    decided_at        the decision that ordered replicas
    ordered           how many it ordered
    started_at        the cluster began the replica that was ready first
    ready_at          that replica answered its readiness probe
    first_request_at  that replica was given its first request
    ended             asleep again: what is None now stays None
    """

    decided_at: float
    ordered: int
    replica: str | None = None
    started_at: float | None = None
    ready_at: float | None = None
    first_request_at: float | None = None
    ended: bool = False

    @property
    def seconds(self) -> float | None:
        """From the decision to readiness."""
        return None if self.ready_at is None else max(0.0, self.ready_at - self.decided_at)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one view newly told, in seconds: replicas' times from order to readiness, wakes' from their decision."""

    starts: tuple[float, ...] = ()
    wakes: tuple[float, ...] = ()


class WakeLog:
    """Wakes of one service and the start times of its replicas."""

    def __init__(self) -> None:
        self._wakes: deque[Wake] = deque(maxlen=_KEPT_WAKES)
        self._starts: deque[float] = deque(maxlen=_KEPT_STARTS)
        self._expected: float | None = None
        self._measured: set[tuple[str, float]] = set()
        self._earlier: frozenset[str] = frozenset()

    def decided(self, at: float, before: int, after: int, listed: frozenset[str] = frozenset()) -> None:
        """A change of scale was decided: from none it begins a wake, to none it ends one.

        `listed` names the replicas that are there already, on their way out: none of them is what is woken. Until
        the order is taken the same is decided again; that is still the same wake.
        """
        wake = self._current
        if after == 0 and wake is not None:
            self._wakes[-1] = replace(wake, ended=True)
        elif before == 0 and after > 0:
            if wake is None or wake.ready_at is not None:
                self._wakes.append(Wake(decided_at=at, ordered=after))
                self._earlier = listed
            else:
                self._wakes[-1] = replace(wake, ordered=after)

    def replicas(self, replicas: Iterable[Replica]) -> Measured:
        """Take the cluster's view.

        A replica that was ready before this process started counts as well: its times come from the cluster. So a
        restarted controller knows what a wake takes as soon as it sees one replica.
        """
        replicas = tuple(replicas)
        wakes = self._follow(replicas)
        fresh = []
        for replica in replicas:
            key = (replica.name, replica.created_at)
            if replica.phase is ReplicaPhase.READY and replica.ready_at is not None and key not in self._measured:
                fresh.append(max(0.0, replica.ready_at - self._ordered_at(replica)))
                self._measured.add(key)
        self._measured &= {(replica.name, replica.created_at) for replica in replicas}
        if fresh:
            self._starts.extend(fresh)
            ordered = sorted(self._starts)
            self._expected = ordered[math.ceil(0.9 * len(ordered)) - 1]
        return Measured(tuple(fresh), wakes)

    def first_request(self, replica: str, at: float) -> None:
        """The queue proxy of `replica` says that it forwarded its first request at `at`."""
        wake = self._current
        if wake is not None and wake.replica == replica and wake.first_request_at is None:
            self._wakes[-1] = replace(wake, first_request_at=at)

    def expected_seconds(self) -> float | None:
        """Time from order to readiness that nine of ten of the last starts kept; None before the first."""
        return self._expected

    def last(self, count: int) -> tuple[Wake, ...]:
        """The newest `count`, oldest first."""
        return tuple(self._wakes)[-count:] if count > 0 else ()

    @property
    def _current(self) -> Wake | None:
        return self._wakes[-1] if self._wakes and not self._wakes[-1].ended else None

    def _follow(self, replicas: tuple[Replica, ...]) -> tuple[float, ...]:
        """Keep the current wake's moments; returns its seconds once its first replica is ready.

        Replicas are told apart by name, not by time: clocks of two processes may differ, or be set.
        """
        wake = self._current
        if wake is None or wake.ready_at is not None:
            return ()
        born = [replica for replica in replicas if replica.name not in self._earlier]
        ready = [replica for replica in born if replica.phase is ReplicaPhase.READY and replica.ready_at is not None]
        if ready:
            first = min(ready, key=lambda r: (r.ready_at or 0.0, r.name))
            wake = replace(wake, replica=first.name, started_at=first.created_at, ready_at=first.ready_at)
        elif born:
            oldest = min(born, key=lambda r: (r.created_at, r.name))
            wake = replace(wake, replica=oldest.name, started_at=oldest.created_at)
        self._wakes[-1] = wake
        return () if wake.seconds is None else (wake.seconds,)

    def _ordered_at(self, replica: Replica) -> float:
        wake = self._current
        return wake.decided_at if wake is not None and wake.replica == replica.name else replica.created_at
