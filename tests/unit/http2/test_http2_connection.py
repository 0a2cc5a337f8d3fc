"""What a connection answers to each thing that a peer may do: a table of conformance (RFC 9113)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode, frame
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.hpack_table import Pair
from queue_proxy.http2.limits import Http2Limits
from tests.unit.http2.http2_core import GET, HELLO, SETTINGS, Recorder, data, greeted, request

PING = frame(frames.PING, 0, 0, b"12345678")
OPEN = request(1, ended=False)


def setting(name: int, value: int) -> bytes:
    return frame(frames.SETTINGS, 0, 0, struct.pack(">HL", name, value))


def update(stream: int, increment: int) -> bytes:
    return frames.window_update_frame(stream, increment)


STREAM_ERRORS = [
    pytest.param(request(1) + data(1, b"x"), ErrorCode.STREAM_CLOSED, id="5.1 data behind END_STREAM"),
    pytest.param(
        OPEN + frames.reset_frame(1, ErrorCode.CANCEL) + data(1, b"x"),
        ErrorCode.STREAM_CLOSED,
        id="5.1 data behind RST_STREAM",
    ),
    pytest.param(request(1) + request(1), ErrorCode.STREAM_CLOSED, id="5.1 headers behind END_STREAM"),
    pytest.param(OPEN + request(1, ended=False), ErrorCode.PROTOCOL_ERROR, id="8.1 second headers without END_STREAM"),
    pytest.param(
        frame(frames.HEADERS, 0x25, 1, b"\0\0\0\x01\x10" + encode(GET)),
        ErrorCode.PROTOCOL_ERROR,
        id="5.3.1 HEADERS that depend on themselves",
    ),
    pytest.param(
        frame(frames.PRIORITY, 0, 5, b"\0\0\0\x05\x10"), ErrorCode.PROTOCOL_ERROR, id="5.3.1 PRIORITY on itself"
    ),
    pytest.param(OPEN + update(1, 0), ErrorCode.PROTOCOL_ERROR, id="6.9 stream window by 0"),
    pytest.param(OPEN + update(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR, id="6.9.1 stream window too large"),
]

CONNECTION_ERRORS = [
    pytest.param(data(1, b"x"), ErrorCode.PROTOCOL_ERROR, id="5.1 data on an idle stream"),
    pytest.param(frames.reset_frame(1, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR, id="5.1 reset of an idle stream"),
    pytest.param(update(1, 1), ErrorCode.PROTOCOL_ERROR, id="5.1 window of an idle stream"),
    pytest.param(request(2), ErrorCode.PROTOCOL_ERROR, id="5.1.1 an even stream"),
    pytest.param(request(5) + request(3), ErrorCode.STREAM_CLOSED, id="5.1.1 a stream number that goes back"),
    pytest.param(
        frame(frames.HEADERS, 0, 1, encode(GET)) + PING, ErrorCode.PROTOCOL_ERROR, id="6.10 PING inside of a block"
    ),
    pytest.param(
        frame(frames.HEADERS, 0, 1, encode(GET)) + frame(frames.CONTINUATION, 4, 3),
        ErrorCode.PROTOCOL_ERROR,
        id="6.10 CONTINUATION of another stream",
    ),
    pytest.param(frame(frames.CONTINUATION, 4, 1), ErrorCode.PROTOCOL_ERROR, id="6.10 CONTINUATION alone"),
    pytest.param(OPEN + frame(frames.CONTINUATION, 4, 1), ErrorCode.PROTOCOL_ERROR, id="6.10 CONTINUATION behind all"),
    pytest.param(frame(frames.HEADERS, 5, 1, b"\xff\xff\xff\xff\x7f"), ErrorCode.COMPRESSION_ERROR, id="4.3 bad block"),
    pytest.param(frame(frames.HEADERS, 0xD, 1, b"\x50abc"), ErrorCode.PROTOCOL_ERROR, id="6.2 padding of HEADERS"),
    pytest.param(OPEN + frame(frames.DATA, 8, 1, b"\x09abc"), ErrorCode.PROTOCOL_ERROR, id="6.1 padding of DATA"),
    pytest.param(frame(frames.HEADERS, 0x25, 1, b"\0\0"), ErrorCode.FRAME_SIZE_ERROR, id="6.2 priority cut short"),
    pytest.param(setting(frames.ENABLE_PUSH, 2), ErrorCode.PROTOCOL_ERROR, id="6.5.2 ENABLE_PUSH 2"),
    pytest.param(setting(frames.INITIAL_WINDOW_SIZE, 2**31), ErrorCode.FLOW_CONTROL_ERROR, id="6.5.2 window"),
    pytest.param(setting(frames.MAX_FRAME_SIZE, 16_383), ErrorCode.PROTOCOL_ERROR, id="6.5.2 frame too small"),
    pytest.param(setting(frames.MAX_FRAME_SIZE, 2**24), ErrorCode.PROTOCOL_ERROR, id="6.5.2 frame too large"),
    pytest.param(frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR, id="6.6 PUSH_PROMISE"),
    pytest.param(update(0, 0), ErrorCode.PROTOCOL_ERROR, id="6.9 connection window by 0"),
    pytest.param(update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR, id="6.9.1 connection window too large"),
    pytest.param(
        OPEN + update(1, 2**30) + setting(frames.INITIAL_WINDOW_SIZE, 2**31 - 1),
        ErrorCode.FLOW_CONTROL_ERROR,
        id="6.9.2 window too large by SETTINGS",
    ),
]


@pytest.mark.parametrize(("said", "code"), STREAM_ERRORS)
def test_a_stream_error_resets_the_stream_and_nothing_else(said: bytes, code: ErrorCode) -> None:
    server = greeted()
    server.receive(said)
    assert server.complaint() == ("stream", code)
    assert server.failed is None
    server.receive(PING)
    assert [kind for kind, *_ in server.said()] == [frames.PING]


@pytest.mark.parametrize(("said", "code"), CONNECTION_ERRORS)
def test_a_connection_error_ends_the_connection(said: bytes, code: ErrorCode) -> None:
    server = greeted()
    server.receive(said)
    assert server.complaint() == ("connection", code)
    assert server.events[-1] == ("gone", code)
    server.receive(PING + request(99))
    assert server.said() == []


@pytest.mark.parametrize(
    "said", [frames.PREFACE + PING, frames.PREFACE + frame(frames.SETTINGS, frames.ACK, 0), frames.PREFACE + OPEN]
)
def test_the_first_frame_is_settings(said: bytes) -> None:
    server = Recorder()
    server.receive(said)
    assert server.complaint() == ("connection", ErrorCode.PROTOCOL_ERROR)


def test_a_server_says_what_it_allows_before_anything_else() -> None:
    kind, _, _, payload = frames.FrameReader().feed(Recorder(Http2Limits(streams=7)).greeting)[0]
    assert kind == frames.SETTINGS
    assert (frames.MAX_CONCURRENT_STREAMS, 7) in frames.parse_settings(payload)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(frame(77, 0xFF, 0, b"whatever"), id="unknown frame"),
        pytest.param(frame(77, 0xFF, 9, b"whatever"), id="unknown frame on a stream"),
        pytest.param(setting(0xFFFF, 1), id="unknown setting"),
        pytest.param(frame(frames.PRIORITY, 0, 3, bytes(5)), id="PRIORITY on an idle stream"),
        pytest.param(request(1) + frames.reset_frame(1, ErrorCode.CANCEL) * 2, id="RST_STREAM twice"),
        pytest.param(request(1) + frames.reset_frame(1, ErrorCode.CANCEL) + update(1, 9), id="window of a closed one"),
    ],
)
def test_what_must_be_ignored_is_ignored(said: bytes) -> None:
    server = greeted()
    server.receive(said)
    assert server.complaint() is None
    assert server.failed is None


def test_a_ping_and_settings_are_answered() -> None:
    server = greeted()
    server.receive(PING + SETTINGS)
    assert server.said() == [(frames.PING, frames.ACK, 0, b"12345678"), (frames.SETTINGS, frames.ACK, 0, b"")]


def test_a_request_with_body_and_trailers_comes_as_events() -> None:
    server = greeted()
    trailers = ((b"checksum", b"1"),)
    server.receive(OPEN + data(1, b"ab") + frame(frames.DATA, 8, 1, b"\x02cd\0\0") + request(1, pairs=trailers))
    assert server.events == [
        ("headers", 1, GET, False),
        ("data", 1, b"ab", False),
        ("data", 1, b"cd", False),
        ("headers", 1, trailers, True),
    ]


@given(st.lists(st.integers(1, 20_000), max_size=12))
def test_events_are_the_same_however_the_bytes_are_split(cuts: list[int]) -> None:
    many: tuple[Pair, ...] = (*GET, (b"filler", b"x" * 40_000))
    raw = HELLO + request(1, pairs=many) + request(3, ended=False) + data(3, b"y" * 9_000) + data(3, b"", ended=True)
    whole = Recorder()
    whole.receive(raw)
    parts = Recorder()
    for cut in cuts:
        parts.receive(raw[:cut])
        raw = raw[cut:]
    parts.receive(raw)
    assert parts.events == whole.events
    assert parts.failed is None


def test_streams_beyond_the_limit_are_refused_and_may_come_again() -> None:
    server = greeted(Http2Limits(streams=2))
    server.receive(request(1) + request(3) + request(5))
    assert server.complaint() == ("stream", ErrorCode.REFUSED_STREAM)
    assert len(server.events) == 2
    server.send_headers(server.streams[1], encode(((b":status", b"200"),)), True)
    server.receive(request(7))
    assert server.events[-1][:2] == ("headers", 7)


def test_a_refused_stream_still_teaches_the_decoder() -> None:
    server = greeted(Http2Limits(streams=0))
    server.receive(frame(frames.HEADERS, 5, 1, b"\x40\x01a\x01b"))
    server.limits = Http2Limits(streams=9)
    server.receive(frame(frames.HEADERS, 5, 3, b"\xbe"))
    assert server.events[-1] == ("headers", 3, ((b"a", b"b"),), True)


def test_a_block_that_comes_again_is_not_decoded_again_until_the_table_changes() -> None:
    server = greeted()
    server.receive(request(1) + request(3) + request(5))
    assert server.reads == 1
    server.receive(frame(frames.HEADERS, 5, 7, b"\x40\x01a\x01b") + frame(frames.HEADERS, 5, 9, b"\xbe") * 1)
    server.receive(frame(frames.HEADERS, 5, 11, b"\x40\x01a\x01c") + frame(frames.HEADERS, 5, 13, b"\xbe"))
    assert [event[2] for event in server.events[3:]] == [((b"a", value),) for value in (b"b", b"b", b"c", b"c")]


def test_a_block_with_a_secret_is_not_remembered() -> None:
    server = greeted()
    secret = frames.headers_frames
    block = encode((*GET, (b"authorization", b"token")), frozenset({b"authorization"}))
    server.receive(secret(1, block, ended=True) + secret(3, block, ended=True))
    assert server.reads == 2


def test_headers_for_a_stream_that_we_have_reset_are_decoded_and_ignored() -> None:
    server = greeted()
    server.receive(OPEN)
    server.reset(server.streams[1], ErrorCode.CANCEL)
    server.take_out()
    server.receive(data(1, b"late") + request(1, pairs=((b"late", b"trailer"),)))
    assert server.complaint() is None
    assert len(server.events) == 1


def test_after_goaway_later_streams_are_ignored_and_earlier_ones_served() -> None:
    server = greeted()
    server.receive(OPEN)
    server.go_away(1)
    server.take_out()
    server.receive(request(3, ended=False) + data(3, b"x") + update(3, 5) + data(1, b"y", ended=True))
    assert server.complaint() is None
    assert server.events[1:] == [("data", 1, b"y", True)]
