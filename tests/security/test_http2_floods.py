"""Floods: frames that cost the sender little and us something end the connection, after a number that is bounded."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode, frame
from queue_proxy.http2.hpack import encode
from queue_proxy.http2.limits import Http2Limits
from tests.unit.http2.http2_core import GET, Recorder, data, greeted, request

PING = frame(frames.PING, 0, 0, bytes(8))
OPEN = request(1, ended=False)
LIMITS = Http2Limits()

IDLE = [
    pytest.param(b"", PING, id="pings"),
    pytest.param(b"", frame(frames.PING, frames.ACK, 0, bytes(8)), id="answers to pings that nobody sent"),
    pytest.param(b"", frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 9}), id="settings"),
    pytest.param(b"", frame(frames.SETTINGS, frames.ACK, 0), id="acknowledgements of settings"),
    pytest.param(OPEN, data(1, b""), id="empty data"),
    pytest.param(OPEN, frame(frames.DATA, frames.PADDED, 1, b"\x03\0\0\0"), id="data of padding alone"),
    pytest.param(OPEN, frame(frames.PRIORITY, 0, 1, bytes(5)), id="priorities"),
    pytest.param(OPEN, frames.window_update_frame(1, 1), id="windows by one"),
    pytest.param(b"", frames.window_update_frame(0, 1), id="connection windows by one"),
    pytest.param(b"", frame(99, 0, 0, b""), id="unknown frames"),
    pytest.param(b"", frame(frames.GOAWAY, 0, 0, bytes(8)), id="goaways"),
    pytest.param(
        OPEN + frames.reset_frame(1, ErrorCode.CANCEL), frames.reset_frame(1, ErrorCode.CANCEL), id="resets of nothing"
    ),
]


@pytest.mark.parametrize(("first", "again"), IDLE)
def test_frames_without_work_are_counted_and_too_many_end_the_connection(first: bytes, again: bytes) -> None:
    server = greeted()
    server.receive(first)
    server.take_out()
    received = 0
    while server.failed is None:
        received += 1
        assert received < 2 * LIMITS.idle_frames
        server.receive(again)
    assert server.failed.code is ErrorCode.ENHANCE_YOUR_CALM
    assert received >= LIMITS.idle_frames - 10
    assert server.out_bytes < 100_000


def test_time_and_work_allow_more_of_them() -> None:
    server = greeted()
    for number in range(1, 20_001, 2):
        server.receive(
            request(number) + PING + frames.window_update_frame(0, 5) + frames.window_update_frame(number, 5)
        )
        server.send_headers(server.streams[number], encode(((b":status", b"200"),)), True)
        server.take_out()
    assert server.failed is None, "a call with a ping and its windows is what clients do"
    for _ in range(100):
        server.clock.now += 1.0
        server.receive(PING * 400)
    assert server.failed is None


@pytest.mark.parametrize(
    "misdeed",
    [
        pytest.param(lambda n: request(n) + frames.reset_frame(n, ErrorCode.CANCEL), id="rapid reset"),
        pytest.param(lambda n: request(n, ended=False) + frames.window_update_frame(n, 0), id="made to reset: window"),
        pytest.param(
            lambda n: request(n, ended=False) + frames.window_update_frame(n, 2**31 - 1), id="made to reset: overflow"
        ),
        pytest.param(lambda n: request(n) + data(n, b"x"), id="made to reset: data behind the end"),
        pytest.param(
            lambda n: request(n, ended=False) + frame(frames.PRIORITY, 0, n, struct.pack(">LB", n, 0)),
            id="made to reset: priority",
        ),
    ],
)
def test_streams_that_are_opened_to_be_reset_are_counted(misdeed) -> None:  # type: ignore[no-untyped-def]
    server = greeted()
    opened = 0
    while server.failed is None:
        opened += 1
        assert opened <= LIMITS.resets + 10
        server.receive(misdeed(2 * opened - 1))
        assert len(server.streams) <= 1
    assert server.failed.code is ErrorCode.ENHANCE_YOUR_CALM
    assert opened >= LIMITS.resets


def test_cancelling_at_an_ordinary_rate_is_no_flood() -> None:
    server = greeted()
    for number in range(1, 20_001, 2):
        server.receive(request(number) + frames.reset_frame(number, ErrorCode.CANCEL))
        server.clock.now += 0.01
    assert server.failed is None


@pytest.mark.parametrize("part", [b"", b"x", bytes(16_384)])
def test_a_header_block_without_end_is_cut_off(part: bytes) -> None:
    server = greeted()
    server.receive(frame(frames.HEADERS, 0, 1, b""))
    tracemalloc.start()
    sent = 0
    while server.failed is None:
        sent += 1
        assert sent <= LIMITS.continuations + 1
        server.receive(frame(frames.CONTINUATION, 0, 1, part))
    assert tracemalloc.get_traced_memory()[1] < 4 * LIMITS.header_block_bytes
    tracemalloc.stop()
    assert server.failed.code is ErrorCode.ENHANCE_YOUR_CALM


def test_header_bombs_cost_no_memory() -> None:
    server = greeted()
    server.receive(frame(frames.HEADERS, 5, 1, b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4_000))
    tracemalloc.start()
    for number in range(3, 403, 2):
        server.receive(frame(frames.HEADERS, 5, number, b"\xbe" * 200))  # 800 kB each: answered, not kept
        server.reset(server.streams[number], ErrorCode.NO_ERROR)
    server.take_out()
    server.receive(frame(frames.HEADERS, 5, 999, b"\xbe" * 16_000))  # 64 MB
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    assert server.complaint() == ("connection", ErrorCode.ENHANCE_YOUR_CALM)


def test_a_table_that_is_refilled_all_the_time_stays_within_its_bound() -> None:
    server = greeted()
    tracemalloc.start()
    for number in range(1, 400, 2):
        block = b"".join(b"\x40\x02%02d\x7e" % at + bytes((48 + number % 10,)) * 126 for at in range(100))
        server.receive(frame(frames.HEADERS, 5, number, block))
    assert tracemalloc.get_traced_memory()[1] < 6_000_000
    tracemalloc.stop()


def test_blocks_that_are_remembered_are_bounded() -> None:
    server = Recorder()
    server.receive(frames.PREFACE + frames.settings_frame({}))
    tracemalloc.start()
    for number in range(1, 20_001, 2):
        server.receive(request(number, pairs=(*GET, (b"x-id", b"%d" % number * 500))))
        server.reset(server.streams[number], ErrorCode.CANCEL)
        server.events.clear()
        server.closed.clear()
        server.take_out()
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


def test_a_peer_without_window_makes_us_hold_one_window_and_no_more() -> None:
    server = greeted()
    server.receive(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 0}) + request(1))
    stream = server.streams[1]
    server.send_headers(stream, encode(((b":status", b"200"),)), False)
    server.take_out()
    assert server.send_data(stream, bytes(65_536), ended=False) == 0
    assert server.out == []
    assert stream.pending_bytes == 65_536
