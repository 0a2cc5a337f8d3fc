"""W3C trace context: which trace a request belongs to, and how the next hop is told of our span.

Without spans of our own nothing here runs: `traceparent` and `tracestate` are two header lines like any other and pass
as they came. A span of ours stands between the caller's and those behind us, so whoever is behind must be told its id
instead of the caller's.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

from queue_proxy.http import RequestHead
from queue_proxy.http.lines import value_of

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"

_TRACEPARENT = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    rb"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
).fullmatch
_SAMPLED = 1


class Caller(NamedTuple):
    """What `traceparent` says: ids in hexadecimal, and whether the caller records its span."""

    trace_id: str
    span_id: str
    sampled: bool


class Trace(NamedTuple):
    """A request's place in its trace. `span_id` is that of our span, empty when we record none.

    `state` is what `tracestate` said.
    """

    trace_id: str
    caller_span_id: str
    span_id: str
    state: str


Samples = Callable[[Caller | None, str], bool]
"""Whether a request is recorded, by its caller (if that is known) and the id of its trace."""


def read_caller(head: RequestHead) -> Caller | None:
    """Who calls; None when that is not said, or said in no valid way, or twice."""
    # No blank can stand before the colon in a head that was accepted.
    found = [line for line in head.lines if line[:12].lower() == b"traceparent:"]
    if len(found) != 1:
        return None
    match = _TRACEPARENT(value_of(found[0]))
    if match is None or (match["version"] == b"00" and match["more"] is not None):
        return None
    sampled = bool(int(match["flags"], 16) & _SAMPLED)
    return Caller(match["trace"].decode(), match["span"].decode(), sampled)


def begin(head: RequestHead, samples: Samples) -> Trace | None:
    """Decide whether a request is recorded. None: it is not, and belongs to no trace that we know of."""
    caller = read_caller(head)
    trace_id = os.urandom(16).hex() if caller is None else caller.trace_id
    caller_span_id = "" if caller is None else caller.span_id
    if not samples(caller, trace_id):
        return None if caller is None else Trace(trace_id, caller_span_id, "", "")
    state = ""
    if caller is not None:
        lines = [line for line in head.lines if line[:11].lower() == b"tracestate:"]
        state = ",".join(value_of(line).decode("latin-1") for line in lines)
    return Trace(trace_id, caller_span_id, os.urandom(8).hex(), state)


class Forwarded(Protocol):
    """What is changed of an exchange. See `queue_proxy.http.Exchange`."""

    def add_line(self, name: bytes, value: bytes) -> None:
        """Forward one header line more."""
        ...

    def drop_lines(self, *names: bytes) -> None:
        """Do not forward headers of these names."""
        ...


def tell_next(exchange: Forwarded, trace: Trace) -> None:
    """Have the next hop see our span as its caller. A state that came without a valid caller belongs to nobody."""
    exchange.drop_lines(*((TRACEPARENT,) if trace.caller_span_id else (TRACEPARENT, TRACESTATE)))
    exchange.add_line(TRACEPARENT, b"00-%b-%b-01" % (trace.trace_id.encode(), trace.span_id.encode()))
