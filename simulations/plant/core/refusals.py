"""Refusals: what Retry-After says in the answers of the hold and of a queue proxy whose line is full.

As `activator.hold` and `queue_proxy.refusals` say it; clients that go by it come back when it is worth it, and all who
were refused together come back together.
"""

from __future__ import annotations

import math

from simulations.plant.codes import NONE, STARTS_KEPT, UNKNOWN
from simulations.plant.records import State

_WITHOUT_EXPERIENCE = 10.0
_LONGEST_OF_A_QUEUE = 60.0
_SHARE_OF_ONE_GAP = 1.0 / 16.0


def retry_after(p: State, i: int, now: float) -> float:
    """Whole seconds after which the client of a refused request is told to come back."""
    request = p.requests[i]
    service = p.services[request.service]
    came_now = request.sent_at == now
    in_line = request.replica != NONE
    if in_line or (service.ready > 0 and service.in_path == 0 and came_now):
        mean = service.service_seconds / service.done_attempts if service.done_attempts > 0 else 1.0
        waiting = p.replicas[request.replica].line if in_line else service.queue_requests
        return min(_LONGEST_OF_A_QUEUE, max(1.0, math.ceil((waiting + 1) * mean / service.limit)))
    oldest = request.sent_at
    if service.held > 0:
        oldest = min(oldest, p.requests[service.first_held].sent_at)
    waited = now - max(oldest, service.regime_since)
    if service.ready > 0:
        seconds = waited
        if service.mean_gap != UNKNOWN:
            waiting = service.held if came_now else service.held + 1
            seconds = waiting * max(service.mean_gap, now - service.gap_since)
        return min(_LONGEST_OF_A_QUEUE, max(1.0, math.ceil(seconds)))
    if service.expected_wake == UNKNOWN:
        return _WITHOUT_EXPERIENCE
    left = service.expected_wake - waited
    return max(1.0, math.ceil(left if left > 0.0 else service.expected_wake))


def count_gap(p: State, s: int, now: float) -> None:
    """One who waited goes: how long after the one before, recent ones weigh more."""
    service = p.services[s]
    gap = now - service.gap_since
    service.gap_since = now
    if service.mean_gap == UNKNOWN:
        service.mean_gap = gap
    else:
        service.mean_gap += _SHARE_OF_ONE_GAP * (gap - service.mean_gap)


def expect_wake(p: State, s: int) -> None:
    """What nine of ten of the last starts kept."""
    service = p.services[s]
    count = min(STARTS_KEPT, service.starts)
    first = s * STARTS_KEPT
    service.expected_wake = UNKNOWN
    for one in range(first, first + count):
        no_longer = 0
        for other in range(first, first + count):
            if p.last_starts[other] <= p.last_starts[one]:
                no_longer += 1
        if no_longer >= 0.9 * count and (
            service.expected_wake == UNKNOWN or p.last_starts[one] < service.expected_wake
        ):
            service.expected_wake = p.last_starts[one]
