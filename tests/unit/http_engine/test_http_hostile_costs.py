"""What a hostile peer can make the engine keep, do or pass on stays in proportion to what it sends."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Sequence, Set

import pytest

from queue_proxy.http import Answer, Exchange, HttpLimits, HttpServer
from queue_proxy.http.body import BodyError, ChunkedBody, _sizes
from queue_proxy.http.head import REQUEST_FIELDS, RequestHead, parse_request
from queue_proxy.http.lines import HeadError, lines_without
from queue_proxy.http.response_head import ResponseHead, parse_response
from tests.unit.http_engine.http_fakes import FakeDispatcher, FakeUpstream, connect

GET = b"GET / HTTP/1.1\r\nHost: m\r\n"


def kept_by(work: Callable[[], object]) -> int:
    """Bytes that are still allocated after `work`, whose result is dropped."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("first_line", "module", "parse"),
    [(b"GET / HTTP/1.1\r\nHost: m", "head", parse_request), (b"HTTP/1.1 200 OK", "response_head", parse_response)],
)
def test_however_many_names_connection_lists_the_head_is_walked_once(
    first_line: bytes,
    module: str,
    parse: Callable[[bytes, int], RequestHead | ResponseHead],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walks: list[Set[bytes]] = []

    def counted(lines: Sequence[bytes], unwanted: Set[bytes]) -> list[bytes]:
        walks.append(unwanted)
        return lines_without(lines, unwanted)

    monkeypatch.setattr(f"queue_proxy.http.{module}.lines_without", counted)
    lists = (b",".join(b"x%d" % (number * 60 + at) for at in range(60)) for number in range(100))
    lines = b"\r\nConnection: ".join((first_line, b"close", *lists))
    head = parse(lines + b"\r\nX7: a\r\nX5999: b\r\nX6000: c", 128)
    assert len(walks) == 1
    assert [line for line in head.lines if line[:1] == b"X"] == [b"X6000: c"]
    assert head.closes


@pytest.mark.parametrize("name", [b"Connection", b"TE", b"Upgrade"])
def test_a_list_of_thousands_is_refused_before_it_is_taken_apart(name: bytes) -> None:
    parse_request(GET + name + b": " + b",".join([b"x"] * 64), 128)
    with pytest.raises(HeadError, match="more than 64"):
        parse_request(GET + name + b": " + b",".join([b"x"] * 65), 128)


def test_long_names_of_headers_are_not_remembered() -> None:
    heads = [GET + b"n%04d" % number + b"x" * 30_000 + b": y" for number in range(100)]
    kept = kept_by(lambda: [parse_request(head, 128) for head in heads] and None)
    assert kept < 100_000


def test_sizes_of_chunks_are_remembered_within_bounds() -> None:
    body = ChunkedBody(1_000)
    for size in range(1, 9_000):
        body.feed(b"%x\r\n%b\r\n" % (size, b"x" * size))
    assert len(_sizes) <= 4_096


def test_long_reasons_of_answers_are_not_remembered() -> None:
    heads = [b"HTTP/1.1 200 %04d" % number + b"x" * 30_000 for number in range(100)]
    kept = kept_by(lambda: [parse_response(head, 128) for head in heads] and None)
    assert kept < 100_000


async def test_a_body_that_waits_takes_its_size_even_when_it_comes_byte_by_byte() -> None:
    dispatcher = FakeDispatcher()
    server = HttpServer(dispatcher, HttpLimits(waiting_bytes=40_000), clock=lambda: 0.0)
    client = connect(server)
    client.receive(b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 100000\r\n\r\n")

    def send() -> None:
        for number in range(40_000):
            client.receive(bytes([number & 0x7F]))

    assert kept_by(send) < 80_000
    exchange = dispatcher.waiting[0]
    assert (exchange.buffered, client.paused) == (40_000, True)
    upstream = FakeUpstream(lambda: 0.0)
    dispatcher.forward_next(upstream)
    transport = upstream.connect_next()
    assert transport.written.endswith(b"\r\n\r\n" + bytes(number & 0x7F for number in range(40_000)))
    client.lose()
    server.closed(client.protocol)  # type: ignore[arg-type]
    upstream.close()


@pytest.mark.parametrize("bounds", [HttpLimits(header_lines=1), HttpLimits(head_bytes=30)])
async def test_what_one_server_remembers_is_refused_by_one_with_narrower_bounds(bounds: HttpLimits) -> None:
    message = GET + b"Accept: narrow\r\n\r\n"
    for limits, answer in ((HttpLimits(), b""), (bounds, b"HTTP/1.1 431 ")):
        for _ in range(3):
            server = HttpServer(FakeDispatcher(), limits, clock=lambda: 0.0)
            client = connect(server)
            client.receive(message)
            assert client.written.startswith(answer)
            assert bool(client.written) is bool(answer)
            client.lose()
    assert message in REQUEST_FIELDS.messages


async def test_interim_answers_without_an_end_are_cut_short() -> None:
    dispatcher = FakeDispatcher()
    server = HttpServer(dispatcher, HttpLimits(head_bytes=1_000), clock=lambda: 0.0)
    client = connect(server)
    client.receive(GET + b"\r\n")
    upstream = FakeUpstream(lambda: 0.0)
    lease = dispatcher.forward_next(upstream)
    transport = upstream.connect_next()
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    for _ in range(1_000 // len(interim)):
        transport.receive(interim)
    assert lease.outcomes == []
    transport.receive(interim)
    assert client.written.count(interim) == 1_000 // len(interim)
    assert b"HTTP/1.1 502 " in client.written
    assert (len(lease.outcomes), transport.aborted) == (1, True)
    client.lose()


def test_chunk_extensions_are_bounded_over_a_whole_body() -> None:
    framing = ChunkedBody(8_192)
    line = b"1;" + b"e" * 250 + b"\r\nX\r\n"
    framing.feed(line * (8_192 // 252))
    with pytest.raises(BodyError, match="extensions"):
        framing.feed(line)


def test_any_number_of_plain_chunks_is_fine() -> None:
    framing = ChunkedBody(8_192)
    data = b"1\r\nX\r\n000000000000001\r\nX\r\n" * 5_000
    assert framing.feed(data) == len(data)


@pytest.mark.parametrize("status", [b"100", b"101", b"103", b"204"])
def test_an_answer_that_has_no_body_must_not_announce_one(status: bytes) -> None:
    with pytest.raises(HeadError, match="Content-Length"):
        parse_response(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 5", 128)


@pytest.mark.parametrize("status", [b"204", b"304", b"200"])
def test_a_length_of_nothing_is_no_body(status: bytes) -> None:
    assert parse_response(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 0", 128).content_length == 0


@pytest.mark.parametrize("name", [b"Content_Length", b"transfer_encoding", b"CONTENT_LENGTH"])
def test_names_that_some_servers_take_for_framing_are_refused_each_time(name: bytes) -> None:
    for _ in range(2):
        with pytest.raises(HeadError, match=name.lower().decode()):
            parse_request(GET + name + b": 5", 128)


def test_other_names_with_an_underscore_pass() -> None:
    assert b"model_name: a" in parse_request(GET + b"model_name: a", 128).lines


@pytest.mark.parametrize(
    "start",
    [b"0\r\r", b"0\rG", b"5;\rx", b"5 x", b"g", b"5\r\nhello0", b"5\r\nhello\rx", b"0\r\nX: y\rz", b"0\r\nX: \x00"],
)
def test_the_start_of_a_bad_line_in_a_chunked_body_is_refused_before_its_end(start: bytes) -> None:
    with pytest.raises(BodyError):
        ChunkedBody(8_192).feed(start)


@pytest.mark.parametrize("start", [b"0\r", b"5;a", b"5 ;a=b\r", b"5\r\nhello\r", b"0\r\nX: y\r", b"0\r\n\r", b"5 "])
def test_the_start_of_a_good_line_waits_for_its_end(start: bytes) -> None:
    framing = ChunkedBody(8_192)
    assert framing.feed(start) == len(start)
    assert not framing.ended


class AnsweringDispatcher(FakeDispatcher):
    """Answers everything at once."""

    def arrive(self, exchange: Exchange) -> None:
        super().arrive(exchange)
        exchange.answer(Answer(204))


async def test_a_client_that_sends_thousands_ahead_gets_its_turn_and_no_more() -> None:
    dispatcher = AnsweringDispatcher()
    server = HttpServer(dispatcher, clock=lambda: 0.0)
    greedy, modest = connect(server), connect(server)
    greedy.receive((GET + b"\r\n") * 1_000)
    served = len(dispatcher.arrived)
    assert 1 <= served < 100
    assert greedy.paused
    modest.receive(GET + b"\r\n")
    assert modest.written.startswith(b"HTTP/1.1 204 ")
    turns = 1
    while len(dispatcher.arrived) < 1_001:
        await asyncio.sleep(0)
        turns += 1
    assert len(dispatcher.arrived) == 1_001
    assert turns >= 1_000 // served
    greedy.lose()
    modest.lose()


async def test_a_client_that_leaves_before_its_next_turn_is_forgotten() -> None:
    dispatcher = AnsweringDispatcher()
    server = HttpServer(dispatcher, clock=lambda: 0.0)
    client = connect(server)
    client.receive((GET + b"\r\n") * 1_000)
    served = len(dispatcher.arrived)
    client.lose()
    await asyncio.sleep(0)
    assert len(dispatcher.arrived) == served
    assert server.connections == 0


async def test_a_bad_request_in_a_later_turn_ends_the_connection() -> None:
    dispatcher = AnsweringDispatcher()
    server = HttpServer(dispatcher, clock=lambda: 0.0)
    client = connect(server)
    client.receive((GET + b"\r\n") * 50 + b"GET / HTTP/1.1\r\nX : y\r\n\r\n" + (GET + b"\r\n") * 50)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(dispatcher.arrived) == 50
    assert client.written.count(b"HTTP/1.1 400 ") == 1
    assert client.eof_written
    assert not client.paused, "what still comes must be read, or closing takes the answer away"
    client.lose()
