"""No two readers of the same bytes see different requests; and the search for such bytes can find some."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queue_proxy.http import body, fields, head, lines
from tests.security import fuzz_http
from tests.security.differential import DifferenceError, Differential, Step
from tests.security.http_grammar import PARTS

CLIENTS = 2
_STREAMS = st.lists(
    st.tuples(
        st.integers(0, CLIENTS - 1),
        st.one_of(st.sampled_from(PARTS), st.binary(max_size=3)),
    ),
    max_size=30,
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_STREAMS, st.booleans())
async def test_no_sequence_of_parts_is_read_in_two_ways(steps: list[Step], switches: bool) -> None:
    run = Differential(CLIENTS, switches)
    try:
        run.play(steps)
        run.check()
    finally:
        run.end()


async def test_no_damaged_request_is_read_in_two_ways() -> None:
    came_through = sum(fuzz_http.play(seed) for seed in range(4_000))
    assert came_through > 2_000


def search() -> int:
    """Plays cases until there is a finding; returns how many it took."""
    for seed in range(20_000):
        try:
            fuzz_http.play(seed)
        except DifferenceError:
            return seed
    raise AssertionError("nothing was found")


async def test_the_search_finds_a_length_that_is_believed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "_ONLY_ONCE", frozenset())
    search()


async def test_the_search_finds_a_coding_that_is_not_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lines.CHECKS, b"transfer-encoding", lambda value: ())
    monkeypatch.setattr(head.REQUEST_FIELDS, "known", {})
    search()


async def test_the_search_finds_a_lenient_size_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_CHUNK_SIZE", re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL).fullmatch)
    search()


async def test_the_search_finds_a_header_that_hides_another(monkeypatch: pytest.MonkeyPatch) -> None:
    lenient = re.compile(rb"([^:]+):(.*)", re.DOTALL).fullmatch
    monkeypatch.setattr(fields, "LINE", lenient)
    search()
