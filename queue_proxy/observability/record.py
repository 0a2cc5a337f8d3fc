"""RequestRecord: what is known of one request when it has ended, for the log and for spans alike."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from queue_proxy.http import Outcome
from queue_proxy.http.contract import Observed
from queue_proxy.observability.trace_context import Trace

_LONGEST_PATH = 2_048
_LONGEST_AGENT = 256
_ERRORS = 400


class RequestOutcome(Enum):
    """How a request ended.

    COMPLETED  the model's answer was passed on whole, whatever its status
    FAILED     the model could not be reached, died or was too slow, or the request broke off malformed
    ABANDONED  the client left first
    REFUSED    answered here with an error, and never sent
    ANSWERED   answered here, as probes are
    """

    COMPLETED = "completed"
    FAILED = "failed"
    ABANDONED = "abandoned"
    REFUSED = "refused"
    ANSWERED = "answered"


_OF_A_LEASE = {
    Outcome.COMPLETED: RequestOutcome.COMPLETED,
    Outcome.FAILED: RequestOutcome.FAILED,
    Outcome.ABANDONED: RequestOutcome.ABANDONED,
}


class RequestRecord(NamedTuple):
    """Times in seconds of the proxy's clock. `forwarded_at` and `answered_at` are None where that never happened,
    `status` where the client was sent none. `path` is without the query, which may hold secrets."""

    service: str
    replica: str
    method: bytes
    path: bytes
    user_agent: bytes
    status: int | None
    outcome: RequestOutcome
    bytes_in: int
    bytes_out: int
    arrived_at: float
    forwarded_at: float | None
    answered_at: float | None
    ended_at: float
    trace: Trace | None

    @property
    def waited(self) -> float:
        """Seconds from arrival to being forwarded, or to the end when it never was."""
        return (self.ended_at if self.forwarded_at is None else self.forwarded_at) - self.arrived_at


def record_of(
    exchange: Observed, service: str, replica: str, unsent: RequestOutcome, ended_at: float, trace: Trace | None
) -> RequestRecord:
    """The record of an exchange that has ended. `replica` empty: the name of its upstream. `unsent` is what a request
    counts as that was answered after nobody could be reached."""
    head = exchange.head
    upstream = exchange.upstream
    agent = head.fields.get(b"user-agent")
    return RequestRecord(
        service,
        replica or ("" if upstream is None else upstream.name),
        head.method,
        head.target.partition(b"?")[0][:_LONGEST_PATH],
        b"" if agent is None else agent.value[:_LONGEST_AGENT],
        exchange.status,
        _outcome(exchange, unsent),
        exchange.bytes_in,
        exchange.bytes_out,
        exchange.arrived_at,
        None if upstream is None else exchange.clock_from,
        exchange.answered_at,
        ended_at,
        trace,
    )


def _outcome(exchange: Observed, unsent: RequestOutcome) -> RequestOutcome:
    known = None if exchange.outcome is None else _OF_A_LEASE.get(exchange.outcome)
    if known is not None:
        return known
    if exchange.status is None:
        return RequestOutcome.ABANDONED
    if exchange.status < _ERRORS:
        return RequestOutcome.ANSWERED
    return RequestOutcome.REFUSED if exchange.outcome is None else unsent
