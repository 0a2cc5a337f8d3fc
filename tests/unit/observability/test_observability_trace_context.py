"""W3C trace context: what is a caller, who is recorded, and what the next hop is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http import RequestHead
from queue_proxy.http.head import parse_request
from queue_proxy.observability.trace_context import Caller, Trace, begin, read_caller, tell_next

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


def head_with(*lines: str) -> RequestHead:
    return parse_request("\r\n".join(("GET /a HTTP/1.1", "Host: m", *lines)).encode(), 50)


@pytest.mark.parametrize("name", ["traceparent", "TraceParent", "TRACEPARENT"])
def test_a_caller_is_read_whatever_the_case_of_the_name(name: str) -> None:
    assert read_caller(head_with(f"{name}:  {VALID} ")) == Caller(TRACE, SPAN, True)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)])
def test_the_lowest_flag_says_whether_the_caller_records(flags: str, sampled: bool) -> None:
    assert read_caller(head_with(f"traceparent: 00-{TRACE}-{SPAN}-{flags}")) == Caller(TRACE, SPAN, sampled)


def test_a_later_version_may_say_more() -> None:
    assert read_caller(head_with(f"traceparent: cc-{TRACE}-{SPAN}-01-what-the-future-holds")) is not None


@pytest.mark.parametrize(
    "value",
    [
        *("", "00", "nonsense", f"{VALID}-more", f"{VALID}x", f"ff-{TRACE}-{SPAN}-01", VALID.upper()),
        *(
            f"00-{'0' * 32}-{SPAN}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE[:-1]}-{SPAN}-01",
            f"cc-{TRACE}-{SPAN}-01.",
        ),
    ],
)
def test_what_is_not_valid_is_nobody(value: str) -> None:
    assert read_caller(head_with(f"traceparent: {value}")) is None


def test_two_callers_are_nobody() -> None:
    assert read_caller(head_with(f"traceparent: {VALID}", f"traceparent: {VALID}")) is None


class Forwarded:
    """As much of an exchange as is needed to change what it forwards."""

    def __init__(self, head: RequestHead) -> None:
        self.head = head

    def add_line(self, name: bytes, value: bytes) -> None:
        self.head = self.head.with_line(name, value)

    def drop_lines(self, *names: bytes) -> None:
        self.head = self.head.without(*names)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80))
def test_whatever_is_sent_a_caller_has_valid_ids(value: str) -> None:
    caller = read_caller(head_with(f"traceparent: {value}"))
    assert caller is None or (int(caller.trace_id, 16) > 0 and int(caller.span_id, 16) > 0)


def test_the_next_hop_sees_our_span_as_its_caller_and_the_state_as_it_came() -> None:
    head = head_with(f"Traceparent: {VALID}", "tracestate: a=1", "x: y", "tracestate: b=2")
    trace = begin(head, lambda caller, trace_id: True)
    assert trace is not None
    assert (trace.trace_id, trace.caller_span_id, trace.state) == (TRACE, SPAN, "a=1,b=2")
    told = Forwarded(head)
    tell_next(told, trace)
    forwarded = parse_request(told.head.to_bytes()[:-4], 50)
    assert read_caller(forwarded) == Caller(TRACE, trace.span_id, True)
    assert [line for line in forwarded.lines if line.startswith(b"tracestate")] == [
        b"tracestate: a=1",
        b"tracestate: b=2",
    ]


def test_a_state_without_a_valid_caller_belongs_to_nobody() -> None:
    head = head_with("traceparent: nonsense", "tracestate: a=1")
    trace = begin(head, lambda caller, trace_id: caller is None)
    assert trace is not None
    assert (trace.caller_span_id, trace.state) == ("", "")
    told = Forwarded(head)
    tell_next(told, trace)
    assert told.head.value(b"tracestate") is None
    assert told.head.value(b"traceparent") == f"00-{trace.trace_id}-{trace.span_id}-01".encode()


def test_who_is_not_recorded_keeps_its_trace_and_gets_no_span() -> None:
    assert begin(head_with(f"traceparent: {VALID}"), lambda caller, trace_id: False) == Trace(TRACE, SPAN, "", "")
    assert begin(head_with(), lambda caller, trace_id: False) is None
