"""Heads: what is read from them, what is forwarded, what is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http.fields import FieldTable
from queue_proxy.http.head import REQUEST_FIELDS, RequestHead, parse_request
from queue_proxy.http.lines import HeadError
from queue_proxy.http.response_head import ResponseHead, parse_response


def request(*lines: bytes, first: bytes = b"GET /x HTTP/1.1") -> RequestHead:
    return parse_request(b"\r\n".join((first, *lines)), 100)


def table() -> FieldTable[RequestHead]:
    return FieldTable(noted=frozenset({b"host"}), dropped=frozenset({b"connection"}), hidden=b"pilotlight-", bound=8)


def test_a_head_is_read() -> None:
    head = request(b"Host: m:80", b"Content-Length: 12", b"X: y", first=b"POST /v1?a=b HTTP/1.1")
    assert (head.method, head.target, head.version, head.host) == (b"POST", b"/v1?a=b", b"HTTP/1.1", b"m:80")
    assert (head.content_length, head.chunked, head.closes, head.is_upgrade) == (12, False, False, False)
    assert head.value(b"x") == b"y"
    assert head.value(b"host") == b"m:80"
    assert head.value(b"absent") is None


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ((b"Connection: keep-alive",), ()),
        ((b"Connection: close", b"A: 1"), (b"A: 1",)),
        ((b"Connection: A, B", b"A: 1", b"a: 2", b"C: 3"), (b"C: 3",)),
        ((b"Keep-Alive: 5", b"Proxy-Connection: x", b"Proxy-Authorization: x"), ()),
        ((b"Pilotlight-Wait: comments", b"PILOTLIGHT-anything: x"), ()),
        ((b"TE: trailers",), (b"te: trailers",)),
        ((b"TE: gzip",), ()),
        ((b"Upgrade: websocket",), ()),
        (
            (b"Connection: keep-alive, Upgrade", b"Upgrade: websocket"),
            (b"connection: upgrade", b"upgrade: websocket"),
        ),
        ((b"Connection: upgrade, http2-settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"), ()),
        ((b"Connection: upgrade", b"Upgrade: websocket, h2c"), ()),
        (
            (b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 3"),
            (b"Content-Length: 3",),
        ),
        ((b"X-A: 1", b"x-a:  2\t"), (b"X-A: 1", b"x-a:  2\t")),
    ],
)
def test_what_belongs_to_one_connection_is_not_forwarded(lines: tuple[bytes, ...], kept: tuple[bytes, ...]) -> None:
    forwarded = request(b"Host: m", *lines).to_bytes()
    assert forwarded == b"\r\n".join((b"GET /x HTTP/1.1", b"Host: m", *kept, b"", b""))


def test_a_stripped_header_can_still_be_read_by_a_dispatcher() -> None:
    head = request(b"Host: m", b"Pilotlight-Wait: comments")
    assert head.value(b"pilotlight-wait") == b"comments"
    assert b"wait" not in head.to_bytes().lower()


@pytest.mark.parametrize(
    ("target", "host", "forwarded"),
    [
        (b"http://Model:80/a?b", b"model:80", b"/a?b"),
        (b"http://m", b"m", b"/"),
        (b"HTTP://m?q", b"m", b"/?q"),
        (b"http://m//x", b"m", b"//x"),
    ],
)
def test_an_absolute_target_that_agrees_with_host_becomes_a_path(target: bytes, host: bytes, forwarded: bytes) -> None:
    head = request(b"Host: " + host, first=b"GET " + target + b" HTTP/1.1")
    assert head.target == forwarded
    assert head.to_bytes().startswith(b"GET " + forwarded + b" HTTP/1.1\r\n")


def test_options_may_ask_about_the_whole_server() -> None:
    assert request(b"Host: m", first=b"OPTIONS * HTTP/1.1").target == b"*"


@pytest.mark.parametrize(
    ("lines", "closes"),
    [((b"Host: m",), False), ((b"Host: m", b"Connection: Close"), True), ((b"Host: m", b"Connection: x,close"), True)],
)
def test_who_closes(lines: tuple[bytes, ...], closes: bool) -> None:
    assert request(*lines).closes is closes
    assert request(*lines, first=b"GET / HTTP/1.0").closes is True


def test_a_head_means_the_same_when_its_lines_are_known() -> None:
    raw = b"POST /x HTTP/1.1\r\nHost: m\r\nConnection: x\r\nX: 1\r\nContent-Length: 3\r\nCookie: c\r\nUser-Agent: a"
    heads = [parse_request(raw, 100, table) for table in (REQUEST_FIELDS,) * 3]
    assert len({head.to_bytes() for head in heads}) == 1
    assert len({(head.content_length, head.host, head.value(b"user-agent")) for head in heads}) == 1


@pytest.mark.parametrize(
    "line",
    [b"Cookie: a", b"X-Api-Key: a", b"Authorization: a", b"X-Request-Id: a", b"traceparent: a", b"Date: a", b"X-Id: a"],
)
def test_secret_and_unique_lines_are_never_remembered(line: bytes) -> None:
    fields = table()
    for _ in range(3):
        parse_request(b"GET / HTTP/1.1\r\nHost: m\r\n" + line, 100, fields)
    assert line not in fields.known
    assert b"Host: m" in fields.known
    assert (not fields.heads) is (line != b"Date: a")


def test_a_head_is_remembered_once_all_of_its_lines_are_and_means_the_same() -> None:
    fields = table()
    raw = b"GET /known HTTP/1.1\r\nHost: m\r\nConnection: x, close\r\nX: 1\r\nY: 2"
    heads = [parse_request(raw, 100, fields) for _ in range(3)]
    assert heads[1] is heads[2] is fields.heads[raw] is fields.messages[raw + b"\r\n\r\n"]
    assert len({(head.to_bytes(), head.closes, head.host, head.target) for head in heads}) == 1
    with pytest.raises(HeadError):
        parse_request(raw, 3, fields)


def test_a_head_with_a_query_is_never_remembered() -> None:
    fields = table()
    for _ in range(3):
        parse_request(b"GET /known?key=secret HTTP/1.1\r\nHost: m", 100, fields)
    assert not fields.heads


def test_a_head_that_many_requests_share_is_not_changed_by_one_of_them() -> None:
    fields = table()
    raw = b"GET /known HTTP/1.1\r\nHost: m\r\nAccept-Encoding: br"
    before = [parse_request(raw, 100, fields) for _ in range(3)][-1]
    changed = before.without(b"accept-encoding").with_line(b"pilotlight-slot", b"7")
    assert changed.to_bytes() == b"GET /known HTTP/1.1\r\nHost: m\r\npilotlight-slot: 7\r\n\r\n"
    assert parse_request(raw, 100, fields) is before
    assert before.to_bytes() == raw + b"\r\n\r\n"


def test_what_is_remembered_of_whole_heads_is_bounded() -> None:
    fields = FieldTable[RequestHead](noted=frozenset({b"host"}), dropped=frozenset())
    for n in range(2_000):
        for _ in range(2):
            parse_request(b"GET /known HTTP/1.1\r\nHost: m\r\nA: %d\r\nB: %d" % (n % 60, n // 60), 100, fields)
        assert len(fields.messages) == len(fields.heads) <= 256
    longest = b"GET /known HTTP/1.1\r\nHost: m" + b"".join(b"\r\nX-%03d: %0200d" % (n, n) for n in range(6))
    for _ in range(3):
        parse_request(longest, 100, fields)
    assert longest not in fields.heads
    assert longest + b"\r\n\r\n" not in fields.messages


def test_answers_of_one_second_are_remembered_as_a_whole() -> None:
    fields = FieldTable[ResponseHead](noted=frozenset({b"content-length"}), dropped=frozenset({b"connection"}))
    raw = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nConnection: keep-alive"
    heads = [parse_response(raw, 100, fields) for _ in range(3)]
    assert heads[1] is heads[2]
    assert {head.to_bytes(False) for head in heads} == {raw.rpartition(b"\r\n")[0] + b"\r\n\r\n"}
    assert heads[2].without(b"date").to_bytes(True) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nconnection: close\r\n\r\n"
    )
    assert b"Date" in heads[2].to_bytes(False)
    with_cookie = raw + b"\r\nSet-Cookie: a"
    for _ in range(3):
        parse_response(with_cookie, 100, fields)
    assert with_cookie not in fields.heads


def test_the_table_of_known_lines_is_bounded() -> None:
    fields = table()
    for n in range(1000):
        parse_request(b"GET / HTTP/1.1\r\nHost: m\r\nX-%d: %d" % (n, n), 100, fields)
        assert len(fields.known) <= 8
    assert len(fields._names) <= 8


def test_a_name_with_ever_new_values_stops_being_remembered() -> None:
    fields: FieldTable[RequestHead] = FieldTable(noted=frozenset(), dropped=frozenset(), bound=10_000)
    for n in range(500):
        fields.read(b"X-Custom: %d" % n)
    assert len(fields.known) < 100


@pytest.mark.parametrize(
    "bad", [b"Cookie", b"Cookie x", b"Cookie: a\x00", b"Cookie: a\nb", b"Cookie: a\rb", b"Cookie : a"]
)
def test_a_line_whose_name_passes_is_still_checked(bad: bytes) -> None:
    fields = table()
    good = b"GET / HTTP/1.1\r\nHost: m\r\nCookie: a"
    for _ in range(3):
        parse_request(good, 100, fields)
    for raw in (good + b"\r\n" + bad, b"GET / HTTP/1.1\r\nHost: m\r\n" + bad):
        with pytest.raises(HeadError):
            parse_request(raw, 100, fields)


@given(st.lists(st.binary(max_size=12), max_size=6))
def test_whatever_is_forwarded_has_only_whole_lines(lines: list[bytes]) -> None:
    fields = table()
    raw = b"\r\n".join((b"GET / HTTP/1.1", b"Host: m", b"Cookie: c", *lines))
    for _ in range(2):
        try:
            sent = parse_request(raw, 100, fields).to_bytes()
        except HeadError:
            continue
        body = sent[:-4].replace(b"\r\n", b"")
        assert not any((byte < 32 and byte != 9) or byte == 127 for byte in body)
        assert b"\r\n\r\n" not in sent[:-4]
        assert all(b":" in line for line in sent[:-4].split(b"\r\n")[1:])


def test_an_error_never_quotes_a_value() -> None:
    with pytest.raises(HeadError) as caught:
        request(b"Host: m", b"Authorization: secret\x00")
    assert "secret" not in caught.value.why
    assert "Authorization" in caught.value.why


def test_what_nobody_here_can_promise_is_not_passed_on() -> None:
    assert b"Expect: 100-Continue" in request(b"Host: m", b"Expect: 100-Continue").to_bytes()
    with pytest.raises(HeadError) as caught:
        request(b"Host: m", b"Expect: miracles")
    assert caught.value.status == 417


def test_an_answer_is_read() -> None:
    head = parse_response(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5", 100)
    assert (head.status, head.content_length, head.closes, head.untouched) == (200, 5, False, True)
    head = parse_response(b"HTTP/1.1 503\r\nConnection: close, X\r\nX: 1\r\nKeep-Alive: 3\r\nY: 2", 100)
    assert (head.status, head.closes) == (503, True)
    assert head.to_bytes(closing=False) == b"HTTP/1.1 503\r\nY: 2\r\n\r\n"
    head = parse_response(b"HTTP/1.0 200 OK\r\nA: b", 100)
    assert head.closes
    assert head.to_bytes(closing=True) == b"HTTP/1.1 200 OK\r\nA: b\r\nconnection: close\r\n\r\n"
    assert not parse_response(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0", 100).closes


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/2 200 OK",
        b"HTTP/1.1 99 Low",
        b"HTTP/1.1 600 High",
        b"HTTP/1.1 2000 Long",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nX: a\nb",
        b"HTTP/1.1 200 OK\r\nX : a",
        b"HTTP/1.1 200 OK\r\n X: a",
        b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5",
    ],
)
def test_an_answer_that_could_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(HeadError) as caught:
        parse_response(raw, 100)
    assert caught.value.status == 502
