"""Flow control both ways: nothing leaves without a window, nothing is held beyond one, and streams take turns."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode, Frame, frame
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.limits import Http2Limits
from queue_proxy.http2.stream import Stream
from tests.unit.http2.http2_core import Recorder, data, greeted, request

HEAD = encode(((b":status", b"200"),))


def opened(*numbers: int) -> tuple[Recorder, list[Stream[str]]]:
    """A server with these streams, whose answers have begun."""
    server = greeted()
    for number in numbers:
        server.receive(request(number))
    streams = [server.streams[number] for number in numbers]
    for stream in streams:
        server.send_headers(stream, HEAD, False)
    server.take_out()
    return server, streams


def sizes(sent: list[Frame]) -> list[tuple[int, int]]:
    return [(number, len(payload)) for kind, _, number, payload in sent if kind == frames.DATA]


def initial_window(size: int) -> bytes:
    return frame(frames.SETTINGS, 0, 0, struct.pack(">HL", frames.INITIAL_WINDOW_SIZE, size))


def test_data_beyond_the_window_waits_for_an_update() -> None:
    server, (stream,) = opened(1)
    assert server.send_data(stream, bytes(70_000), ended=True) == 65_535
    assert sum(size for _, size in sizes(server.said())) == 65_535
    server.receive(frames.window_update_frame(1, 10_000))
    assert sizes(server.said()) == [], "the connection's window is used up too"
    server.receive(frames.window_update_frame(0, 10_000))
    kind, flags, _, payload = server.said()[-1]
    assert (kind, flags, len(payload)) == (frames.DATA, frames.END_STREAM, 70_000 - 65_535)
    assert server.events[-1] == ("sent", 1, 70_000 - 65_535)
    assert server.closed == [1]


def test_trailers_stay_behind_data_that_waits() -> None:
    server, (stream,) = opened(1)
    server.send_data(stream, bytes(65_536), ended=False)
    server.send_trailers(stream, encode(((b"grpc-status", b"0"),)))
    assert all(kind == frames.DATA for kind, *_ in server.said())
    server.receive(frames.window_update_frame(0, 1) + frames.window_update_frame(1, 1))
    assert [kind for kind, *_ in server.said()] == [frames.DATA, frames.HEADERS]
    assert server.closed == [1]


def test_the_end_of_a_stream_needs_no_window() -> None:
    server, (stream, other) = opened(1, 3)
    server.send_data(stream, bytes(65_535), ended=False)
    server.send_data(other, b"", ended=True)
    server.send_data(stream, b"", ended=True)
    assert server.closed == [3, 1]


def test_a_window_may_become_negative() -> None:
    server, (stream,) = opened(1)
    server.send_data(stream, bytes(60_000), ended=False)
    server.receive(initial_window(10_000))
    server.take_out()
    assert server.send_data(stream, b"more", ended=False) == 0
    server.receive(frames.window_update_frame(1, 50_000))
    assert sizes(server.said()) == []
    server.receive(frames.window_update_frame(1, 2))
    assert sizes(server.said()) == [(1, 2)]


def test_streams_take_turns_when_the_connection_has_room_again() -> None:
    server, (one, three, five) = opened(1, 3, 5)
    server.send_data(one, bytes(65_535), ended=False)
    server.receive(frames.window_update_frame(1, 60_000))
    server.take_out()
    for stream in (one, three, five):
        assert server.send_data(stream, bytes(40_000), ended=False) == 0
    server.receive(frames.window_update_frame(0, 16_384 * 6))
    assert sizes(server.said()) == [(number, 16_384) for number in (1, 3, 5, 1, 3, 5)]


def test_a_full_transport_stops_data_and_nothing_else() -> None:
    server, (stream,) = opened(1)
    server.full = True
    assert server.send_data(stream, b"hello", ended=False) == 0
    server.receive(frame(frames.PING, 0, 0, bytes(8)))
    assert [kind for kind, *_ in server.said()] == [frames.PING]
    server.full = False
    server.pump()
    assert sizes(server.said()) == [(1, 5)]


def test_what_gathers_for_one_write_is_bounded() -> None:
    server, (stream,) = opened(1)
    server.receive(frames.window_update_frame(0, 2**30) + frames.window_update_frame(1, 2**30))
    server.send_data(stream, bytes(4_000_000), ended=True)
    assert server.out_bytes < 300_000
    total = 0
    while server.out:
        total += sum(size for _, size in sizes(server.said()))
        server.pump()
    assert total == 4_000_000


def test_received_bytes_are_given_back_when_they_are_dealt_with_and_not_before() -> None:
    server = greeted(Http2Limits(), credits_data=False)
    server.receive(request(1, ended=False))
    for _ in range(4):
        server.receive(data(1, bytes(16_000)))
    assert server.said() == []
    stream = server.streams[1]
    server.credit(stream, 16_000)
    assert server.said() == [], "an update for each frame would cost more than the frame"
    server.credit(stream, 32_000)
    assert server.said() == [(frames.WINDOW_UPDATE, 0, 1, (48_000).to_bytes(4, "big"))]


def test_padding_is_given_back_at_once() -> None:
    server = greeted(credits_data=False)
    server.receive(request(1, ended=False))
    for _ in range(300):
        server.receive(frame(frames.DATA, frames.PADDED, 1, b"\xfe" + bytes(254)))
        server.work += 1  # empty data is counted elsewhere
    updates = [payload for kind, _, number, payload in server.said() if kind == frames.WINDOW_UPDATE and number == 1]
    assert sum(int.from_bytes(payload, "big") for payload in updates) > 65_535 // 2
    assert server.failed is None


def test_more_data_than_the_window_resets_the_stream() -> None:
    server = greeted(credits_data=False)
    server.receive(request(1, ended=False))
    for _ in range(5):
        server.receive(data(1, bytes(16_000)))
    assert server.complaint() == ("stream", ErrorCode.FLOW_CONTROL_ERROR)
    received = [event[2] for event in server.events if event[0] == "data"]
    assert sum(len(part) for part in received if isinstance(part, bytes)) <= 65_536


@given(
    st.lists(st.tuples(st.sampled_from((1, 3)), st.integers(0, 40_000)), max_size=10),
    st.lists(st.tuples(st.sampled_from((0, 1, 3)), st.integers(1, 50_000)), max_size=20),
)
def test_every_byte_arrives_in_order_and_no_window_is_ever_exceeded(
    writes: list[tuple[int, int]], updates: list[tuple[int, int]]
) -> None:
    server, streams = opened(1, 3)
    by_number = {stream.id: stream for stream in streams}
    allowed = {0: 65_535, 1: 65_535, 3: 65_535}
    want = {1: b"", 3: b""}
    got = {1: b"", 3: b""}

    def look() -> None:
        for kind, _, number, payload in server.said():
            if kind == frames.DATA:
                got[number] += payload
                for window in (0, number):
                    allowed[window] -= len(payload)
                    assert allowed[window] >= 0

    for at, (number, size) in enumerate(writes):
        part = bytes([at]) * size
        want[number] += part
        server.send_data(by_number[number], part, ended=False)
        look()
    for number, increment in [*updates, (0, 10**6), (1, 10**6), (3, 10**6)]:
        allowed[number] += increment
        server.receive(frames.window_update_frame(number, increment))
        look()
    while server.out:
        look()
        server.pump()
    assert got == want
