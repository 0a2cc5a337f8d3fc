"""What a dispatcher needs of the process around it, and the bounds that hold before a table names any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from activator.bidding import Dial, dial_nobody
from activator.budget import Budget, unbounded
from activator.comments import WaitComments
from activator.messages import HoldBounds
from activator.timers import Timers
from queue_proxy.http import Upstream

# Until the first table says otherwise: as the policy's own defaults.
DEFAULT_BOUNDS = HoldBounds(requests=10_000, bytes=256 * 1024 * 1024, no_endpoint_seconds=600.0, full_seconds=300.0)
NOBODY_WAITS = HoldBounds(requests=0, bytes=0, no_endpoint_seconds=0.0, full_seconds=0.0)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The same for all services of one activator.

    wake        somebody waits for this service and no endpoint is there: tell the controller now
    unproven    the endpoints of this service that should be asked for readiness have changed
    body_bytes  how much of one body the engine may come to buffer while its request waits
    budget      what all services together may have waiting
    dial        the connection on which slots of an endpoint are bid for
    upstream    connections to a host and port
    """

    timers: Timers
    clock: Callable[[], float]
    comments: WaitComments
    wake: Callable[[str], None]
    unproven: Callable[[str], None]
    body_bytes: int
    budget: Budget = field(default_factory=unbounded)
    dial: Dial = dial_nobody
    upstream: Callable[[str, int], Upstream] = Upstream
