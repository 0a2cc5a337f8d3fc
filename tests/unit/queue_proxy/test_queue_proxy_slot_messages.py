"""What activators and queue proxies say about slots: it survives the way, and nothing else is taken for it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.messages import MessageError
from queue_proxy.slot_messages import (
    LONGEST_LINE,
    Activators,
    Bid,
    Granted,
    LineSplitter,
    Recalled,
    Return,
    parse_from_activator,
    parse_from_queue_proxy,
)

TOKENS = st.text("0123456789abcdef", min_size=1, max_size=64).map(str.encode)
AGES = st.integers(0, 86_400 * 1_000).map(lambda milliseconds: milliseconds / 1_000)
FROM_ACTIVATOR = st.builds(Return, TOKENS) | st.builds(Bid, st.integers(0, 1_000_000), st.integers(0, 2), AGES)
FROM_QUEUE_PROXY = st.builds(Granted, TOKENS) | st.builds(Recalled, TOKENS) | st.builds(Activators, st.integers(0, 64))


@given(messages=st.lists(FROM_ACTIVATOR, max_size=5), cut=st.integers(0, 200))
def test_what_an_activator_says_arrives_however_it_is_cut(messages: list[Bid | Return], cut: int) -> None:
    data = b"".join(message.to_line() for message in messages)
    lines = LineSplitter()
    assert [parse_from_activator(line) for line in lines.feed(data[:cut]) + lines.feed(data[cut:])] == messages


@given(message=FROM_QUEUE_PROXY)
def test_what_a_queue_proxy_says_arrives(message: Granted | Recalled | Activators) -> None:
    assert parse_from_queue_proxy(message.to_line().removesuffix(b"\n")) == message


@given(line=st.binary(max_size=200))
def test_whatever_comes_is_a_message_or_an_error(line: bytes) -> None:
    for parse in (parse_from_activator, parse_from_queue_proxy):
        with contextlib.suppress(MessageError):
            parse(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"waiting",
        b"waiting 1 1",
        b"waiting 1 3 0.5",
        b"waiting -1 1 0.5",
        b"waiting 1 1 nan",
        b"waiting 1 1 -0.5",
        b"waiting 1 1 1e9",
        b"waiting 9999999 1 0",
        b"waiting 99999999 1 0",
        b"waiting 1 1 0 0",
        b"return",
        b"return xyz",
        b"return " + b"a" * 65,
        b"grant ab",
    ],
)
def test_a_bid_that_cannot_be_meant_is_refused(line: bytes) -> None:
    with pytest.raises(MessageError):
        parse_from_activator(line)


def test_a_line_without_end_is_not_collected() -> None:
    lines = LineSplitter()
    assert lines.feed(b"x" * LONGEST_LINE) == []
    with pytest.raises(MessageError):
        lines.feed(b"x")
