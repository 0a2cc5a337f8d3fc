"""Fields of calls: what is remembered means the same as what is read anew, and what is secret is never remembered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http2 import heads, request_fields
from queue_proxy.http2.heads import Malformed, Request, read_request
from queue_proxy.http2.hpack import Decoder, HeaderList
from queue_proxy.http2.hpack_table import Pair
from queue_proxy.http2.request_fields import RequestFields

START = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b":authority", b"m")]
_MEANT = (b"te", b"user-agent", b"content-type", b"content-length", b"host", b"connection", b"proxy-authorization")
_OTHER = (b"x", b"X", b"", b"pilotlight-slot", b"authorization", b"traceparent")
NAMES = st.sampled_from((*_MEANT, *_OTHER))
VALUES = st.sampled_from([b"trailers", b"1", b"m", b"application/grpc", b" a", b"a\r\nb", b""])


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    request_fields._start_anew()
    yield
    request_fields._start_anew()


def read(pairs: list[Pair], secret: frozenset[bytes] = frozenset()) -> object:
    return read_request(HeaderList(pairs, secret, False))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), st.sampled_from([frozenset(), frozenset({b"x", b"te"})]))
def test_a_request_means_the_same_when_its_fields_are_known(pairs: list[Pair], secret: frozenset[bytes]) -> None:
    request_fields._start_anew()
    first, second = read([*START, *pairs], secret), read([*START, *pairs], secret)
    if isinstance(first, Request) and isinstance(second, Request):
        # Fields compare by identity, and those that are remembered are the same ones.
        assert first._replace(fields={}, recurs=False) == second._replace(fields={}, recurs=False)
        assert [(one.name, one.value) for one in first.fields.values()] == [
            (one.name, one.value) for one in second.fields.values()
        ]
        decoded = Decoder(9_999, 99).decode(first.block)
        assert tuple(decoded.pairs) == first.pairs
        assert decoded.secret == {name for name, _ in pairs if name in secret}
    else:
        assert first == second


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"x-api-key", b"traceparent", b"x-request-id"])
def test_secret_and_unique_fields_are_never_remembered(name: bytes) -> None:
    for _ in range(3):
        assert isinstance(read([*START, (name, b"a"), (b"x-tenant", b"a")]), Request)
    assert (name, b"a") not in request_fields._known
    assert (b"x-tenant", b"a") in request_fields._known


def test_a_field_that_is_known_is_secret_where_its_sender_says_so() -> None:
    read([*START, (b"x", b"a")])
    request = read([*START, (b"x", b"a")], frozenset({b"x"}))
    assert isinstance(request, Request)
    assert Decoder(9_999, 99).decode(request.block).secret == {b"x"}


def test_what_is_remembered_is_bounded() -> None:
    for number in range(5_000):
        RequestFields([(b"n%d" % (number // 3), b"%d" % number)], frozenset())
        assert len(request_fields._known) <= 1_024
        assert len(request_fields._names) <= 1_024
    RequestFields([(b"n" * 60_000, b"1"), (b"long", b"v" * 300)], frozenset())
    assert max(map(len, request_fields._names)) <= 64
    assert (b"long", b"v" * 300) not in request_fields._known


def test_one_name_with_ever_new_values_does_not_push_out_the_rest() -> None:
    RequestFields([(b"grpc-timeout", b"%dm" % number) for number in range(5_000)], frozenset())
    assert len(request_fields._known) <= 64


@pytest.mark.parametrize("path", [b"/a?key=secret", b"/" + b"a" * 2_000])
def test_a_long_path_or_one_with_a_query_is_not_remembered(path: bytes) -> None:
    pairs = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", path), (b":authority", b"m")]
    assert isinstance(read(pairs), Request)
    assert tuple(pairs) not in heads._beginnings


def test_host_and_authority_are_compared_also_when_the_authority_is_known() -> None:
    assert isinstance(read([*START, (b"host", b"M")]), Request)
    assert isinstance(read([*START, (b"host", b"other")]), Malformed)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("more", [(b":path", b"/a.B/C"), (b":status", b"200"), (b":authority", b"m")])
def test_pseudo_headers_stand_once_and_in_front_also_when_they_are_known(known: bool, more: Pair) -> None:
    if known:
        assert isinstance(read(START), Request)
    for pairs in ([*START, more], [more, *START], [*START, (b"x", b"a"), more], [*START[:2], (b"x", b"a"), *START[2:]]):
        assert isinstance(read(pairs), Malformed)
