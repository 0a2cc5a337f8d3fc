"""What the demo came to: pure functions from what clients got and what was observed to the numbers of its table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.demo.load import Ended
from pilotlight.demo.observer import Sample, Wake

_REFUSED = 429


@dataclass(frozen=True, slots=True)
class WakeOutcome:
    """One wake, in seconds, from the first held request to the first one that reached the model.

    decide    the request waits for the decision
    start     the order becomes a process
    load      the process becomes ready: the model's own time
    hand_over readiness to the first request in the model, measured by the model itself; None when not measured
    held      requests that were sent before readiness, all of which waited
    """

    service: str
    at: float
    ordered: int
    decide: float
    start: float
    load: float
    hand_over: float | None
    held: int

    @property
    def total(self) -> float:
        """From the first request to readiness, and the hand-over."""
        return self.decide + self.start + self.load + (self.hand_over or 0.0)


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    """One row of the table. Seconds; a percentile is None when there was no answer.

    lost   no answer, a wrong one, or a 5xx
    refused  answered 429: honest, but not served
    replica_seconds  seconds that replicas existed, starting and draining included
    most_replicas    at a time
    """

    service: str
    requests: int
    answered: int
    refused: int
    lost: tuple[str, ...]
    wakes: tuple[WakeOutcome, ...]
    latency_p50: float | None
    latency_p99: float | None
    replica_seconds: float
    most_replicas: int
    seconds: float

    @property
    def held(self) -> int:
        """Requests that waited through a wake."""
        return sum(wake.held for wake in self.wakes)

    @property
    def always_on_seconds(self) -> float:
        """Replica-seconds had the most ever needed been kept all the time."""
        return self.most_replicas * self.seconds


def service_outcome(
    service: str, ended: Sequence[Ended], samples: Sequence[Sample], wakes: Sequence[Wake]
) -> ServiceOutcome:
    """The row of one service."""
    mine = [request for request in ended if request.service == service]
    latencies = sorted(request.ended_at - request.sent_at for request in mine if request.problem is None)
    refused = [request for request in mine if request.status == _REFUSED]
    return ServiceOutcome(
        service=service,
        requests=len(mine),
        answered=len(latencies),
        refused=len(refused),
        lost=tuple(r.problem for r in mine if r.problem is not None and r.status != _REFUSED),
        wakes=wake_outcomes(service, mine, wakes),
        latency_p50=percentile(latencies, 0.5),
        latency_p99=percentile(latencies, 0.99),
        replica_seconds=_area(samples),
        most_replicas=max((sample.existing for sample in samples), default=0),
        seconds=samples[-1].at - samples[0].at if samples else 0.0,
    )


def wake_outcomes(service: str, requests: Sequence[Ended], wakes: Sequence[Wake]) -> tuple[WakeOutcome, ...]:
    """Each wake that got as far as readiness, with the requests that waited for it."""
    outcomes = []
    asleep_since = -math.inf
    for wake in sorted(wakes, key=lambda wake: wake.decided_at):
        if wake.started_at is None or wake.ready_at is None:
            continue
        # Those of an earlier wake have ended before this one's first came: that is what being asleep means.
        waiting = [r.sent_at for r in requests if asleep_since < r.sent_at <= wake.ready_at]
        asked_at = min(waiting, default=wake.decided_at)
        outcomes.append(
            WakeOutcome(
                service=service,
                at=asked_at,
                ordered=wake.ordered,
                decide=max(0.0, wake.decided_at - asked_at),
                start=max(0.0, wake.started_at - wake.decided_at),
                load=max(0.0, wake.ready_at - wake.started_at),
                hand_over=next((r.added for r in requests if r.replica == wake.replica and r.added is not None), None),
                held=len(waiting),
            )
        )
        asleep_since = _served_until(requests, wake, wakes)
    return tuple(outcomes)


def percentile(ordered: Sequence[float], part: float) -> float | None:
    """The smallest value that `part` of the values do not exceed; None of none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None


def _served_until(requests: Sequence[Ended], wake: Wake, wakes: Sequence[Wake]) -> float:
    """When the last request of this wake's waking hours was sent: the next wake's first one came after that."""
    following = min((w.decided_at for w in wakes if w.decided_at > wake.decided_at), default=math.inf)
    ended_before = [r.sent_at for r in requests if r.ended_at < following]
    return max(ended_before, default=wake.decided_at)


def _area(samples: Sequence[Sample]) -> float:
    """Replica-seconds under the step function of the samples."""
    pairs = itertools.pairwise(samples)
    return sum(before.existing * (after.at - before.at) for before, after in pairs)
