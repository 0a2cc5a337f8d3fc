"""Header rules of RFC 9113 section 8, as a table; and what is forwarded of a head that keeps to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http2.heads import (
    Malformed,
    Request,
    Response,
    StreamHead,
    Trailers,
    Unacceptable,
    read_request,
    read_response,
)
from queue_proxy.http2.hpack import Decoder, HeaderList
from queue_proxy.http2.hpack_table import Pair
from tests.unit.http2.http2_core import GET

METHOD, SCHEME, PATH, AUTHORITY = GET


def read(*pairs: Pair) -> Request | Trailers | Unacceptable | Malformed:
    return read_request(HeaderList(list(pairs), frozenset(), False))


def valid(*pairs: Pair) -> Request:
    request = read(*pairs)
    assert isinstance(request, Request), request
    return request


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param((*GET, (b"Upper", b"x")), id="upper case"),
        pytest.param((*GET, (b"", b"x")), id="no name"),
        pytest.param((*GET, (b"a b", b"x")), id="blank in a name"),
        pytest.param((*GET, (b"a:b", b"x")), id="colon in a name"),
        pytest.param((*GET, (b"a\r\nb", b"x")), id="line end in a name"),
        pytest.param((*GET, (b"a", b"x\r\nhost: other")), id="line end in a value"),
        pytest.param((*GET, (b"a", b"x\ny")), id="LF in a value"),
        pytest.param((*GET, (b"a", b"x\0y")), id="NUL in a value"),
        pytest.param((*GET, (b"a", b" x")), id="blank before a value"),
        pytest.param((*GET, (b"a", b"x\t")), id="tab behind a value"),
        pytest.param((*GET, (b"connection", b"close")), id="connection"),
        pytest.param((*GET, (b"keep-alive", b"1")), id="keep-alive"),
        pytest.param((*GET, (b"proxy-connection", b"1")), id="proxy-connection"),
        pytest.param((*GET, (b"transfer-encoding", b"chunked")), id="transfer-encoding"),
        pytest.param((*GET, (b"upgrade", b"websocket")), id="upgrade"),
        pytest.param((*GET, (b"te", b"gzip")), id="te"),
        pytest.param((METHOD, SCHEME, PATH, (b"a", b"b"), AUTHORITY), id="pseudo-header behind a field"),
        pytest.param((*GET, METHOD), id="pseudo-header twice"),
        pytest.param((*GET, (b":protocol", b"x")), id="unknown pseudo-header"),
        pytest.param((*GET, (b":status", b"200")), id="pseudo-header of an answer"),
        pytest.param((SCHEME, PATH, AUTHORITY), id="no method"),
        pytest.param((METHOD, PATH, AUTHORITY), id="no scheme"),
        pytest.param((METHOD, SCHEME, AUTHORITY), id="no path"),
        pytest.param((METHOD, SCHEME, PATH), id="no authority"),
        pytest.param(((b":method", b"GE T"), SCHEME, PATH, AUTHORITY), id="method with a blank"),
        pytest.param((METHOD, (b":scheme", b"ftp"), PATH, AUTHORITY), id="other scheme"),
        pytest.param((METHOD, SCHEME, (b":path", b""), AUTHORITY), id="empty path"),
        pytest.param((METHOD, SCHEME, (b":path", b"x"), AUTHORITY), id="relative path"),
        pytest.param((METHOD, SCHEME, (b":path", b"*"), AUTHORITY), id="asterisk without OPTIONS"),
        pytest.param((METHOD, SCHEME, (b":path", b"/ HTTP/1.1\r\nx: y"), AUTHORITY), id="line end in the path"),
        pytest.param((METHOD, SCHEME, (b":path", b"/a b"), AUTHORITY), id="blank in the path"),
        pytest.param((METHOD, SCHEME, (b":path", b"/a#b"), AUTHORITY), id="fragment"),
        pytest.param((METHOD, SCHEME, (b":path", b"http://other/"), AUTHORITY), id="absolute path"),
        pytest.param((METHOD, SCHEME, PATH, (b":authority", b"user@model")), id="user in the authority"),
        pytest.param((METHOD, SCHEME, PATH, (b":authority", b"a/b")), id="path in the authority"),
        pytest.param((METHOD, SCHEME, PATH, (b":authority", b"")), id="empty authority"),
        pytest.param((*GET, (b"host", b"other")), id="another host"),
        pytest.param((*GET, (b"host", b"model"), (b"host", b"model")), id="host twice"),
        pytest.param((*GET, (b"content-length", b"1"), (b"content-length", b"1")), id="length twice"),
        pytest.param((*GET, (b"content-length", b"+1")), id="length with a sign"),
        pytest.param((*GET, (b"content-length", b"")), id="empty length"),
        pytest.param((*GET, (b"content-length", b"1" * 19)), id="length of 19 digits"),
    ],
)
def test_a_malformed_request_is_known_as_such(pairs: tuple[Pair, ...]) -> None:
    malformed = read(*pairs)
    assert isinstance(malformed, Malformed)
    assert "other" not in malformed.why


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        (((b":method", b"CONNECT"), AUTHORITY), 405),
        ((*GET, (b"expect", b"a-miracle")), 417),
    ],
)
def test_what_is_valid_and_not_served_gets_a_status(pairs: tuple[Pair, ...], status: int) -> None:
    refused = read(*pairs)
    assert isinstance(refused, Unacceptable)
    assert refused.status == status


def test_a_list_that_is_too_large_is_431() -> None:
    refused = read_request(HeaderList([(b"content-type", b"application/grpc")], frozenset(), True))
    assert refused == Unacceptable(431, "the header list is too large", grpc=True)


def test_what_is_ours_or_of_one_hop_is_seen_and_not_forwarded() -> None:
    request = valid(
        *GET,
        (b"host", b"MODEL"),
        (b"pilotlight-slot", b"7"),
        (b"proxy-authorization", b"secret"),
        (b"te", b"trailers"),
        (b"user-agent", b"me"),
    )
    assert request.pairs == (*GET, (b"te", b"trailers"), (b"user-agent", b"me"))
    head = StreamHead(request)
    assert head.value(b"pilotlight-slot") == b"7"
    assert head.value(b"te") == b"trailers"
    assert head.value(b"absent") is None
    assert "user-agent" in {name.decode() for name in head.fields}


def test_host_stands_in_for_an_authority_that_is_missing() -> None:
    request = valid(METHOD, SCHEME, PATH, (b"host", b"model:80"))
    assert request.host == b"model:80"
    assert request.pairs[3] == (b":authority", b"model:80")


def test_a_head_may_be_changed_before_it_is_sent() -> None:
    head = StreamHead(valid(*GET, (b"a", b"1"), (b"b", b"2")))
    untouched = head.block()
    assert untouched is head.request.block
    head = head.without(b"a").with_line(b"pilotlight-slot", b"token")
    assert Decoder(9_999, 99).decode(head.block()).pairs == [*GET, (b"b", b"2"), (b"pilotlight-slot", b"token")]
    assert head.value(b"a") is None


def test_secrets_stay_secret_on_the_next_hop() -> None:
    secret = frozenset({b"authorization"})
    request = read_request(HeaderList([*GET, (b"authorization", b"token")], secret, False))
    assert isinstance(request, Request)
    assert Decoder(9_999, 99).decode(request.block).secret == secret


def test_trailers_are_forwarded_without_what_is_ours() -> None:
    trailers = read((b"grpc-status", b"0"), (b"pilotlight-x", b"1"))
    assert isinstance(trailers, Trailers)
    assert trailers.pairs == ((b"grpc-status", b"0"),)
    assert isinstance(read((b"content-length", b"1")), Malformed)


@pytest.mark.parametrize(
    "pairs",
    [
        ((b":status", b"20"),),
        ((b":status", b"600"),),
        ((b":status", b"101"),),
        ((b":status", b"200"), (b":path", b"/")),
        ((b":status", b"200"), (b"connection", b"close")),
        ((b":status", b"200"), (b"x", b"a\r\nb")),
        ((b"x", b"y"), (b":status", b"200")),
    ],
)
def test_a_malformed_answer_is_known_as_such(pairs: tuple[Pair, ...]) -> None:
    assert isinstance(read_response(HeaderList(list(pairs), frozenset(), False)), Malformed)


def test_an_answer_is_forwarded_as_it_came() -> None:
    pairs = ((b":status", b"200"), (b"content-type", b"text/event-stream; charset=utf-8"), (b"set-cookie", b"a"))
    response = read_response(HeaderList(list(pairs), frozenset(), False))
    assert isinstance(response, Response)
    assert (response.pairs, response.events, response.grpc) == (pairs, True, False)


@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=12)), max_size=6))
def test_whatever_is_accepted_has_no_byte_that_ends_a_line(pairs: list[Pair]) -> None:
    request = read(*GET, *pairs)
    if isinstance(request, Request):
        head = StreamHead(request)
        assert not any(byte in line for line in head.lines for byte in (0, 10, 13))
        assert len(Decoder(9_999, 99).decode(head.block()).pairs) == len(request.pairs)
