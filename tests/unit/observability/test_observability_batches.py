"""Batches: nothing is lost that has room, nothing waits for a sink, and what is dropped is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from queue_proxy.observability.batches import Batches

PATIENCE = 10.0


class Sink:
    """Remembers its batches; waits while `open` is clear."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.open.set()
        self.began = threading.Event()
        self.closed = False
        self.fails = False

    def write(self, batch: Sequence[int]) -> int:
        self.began.set()
        self.open.wait(PATIENCE)
        if self.fails:
            raise OSError("no")
        self.batches.append(list(batch))
        return sum(number < 0 for number in batch)

    def close(self) -> None:
        self.closed = True


async def test_a_batch_leaves_when_it_is_full_and_the_rest_at_the_end() -> None:
    sink = Sink()
    batches: Batches[int] = Batches("test", sink, seconds=60.0, size=3, most=100)
    for number in range(8):
        batches.add(number)
    batches.finish()
    batches.close(PATIENCE)
    assert sink.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert (batches.written, batches.dropped, sink.closed) == (8, 0, True)


async def test_a_batch_that_does_not_fill_leaves_after_its_time() -> None:
    sink = Sink()
    batches: Batches[int] = Batches("test", sink, seconds=0.01, size=100, most=100)
    batches.add(1)
    async with asyncio.timeout(PATIENCE):
        while not sink.batches:
            await asyncio.sleep(0.001)
    batches.finish()
    batches.close(PATIENCE)
    assert sink.batches == [[1]]


async def test_a_sink_that_is_stuck_keeps_nobody_and_costs_what_is_beyond_the_bound() -> None:
    sink = Sink()
    sink.open.clear()
    batches: Batches[int] = Batches("test", sink, seconds=60.0, size=2, most=5)
    for number in range(9):
        batches.add(number)
    assert sink.began.wait(PATIENCE)
    assert (batches.written, batches.dropped) == (0, 4)
    sink.open.set()
    batches.finish()
    batches.close(PATIENCE)
    assert [number for batch in sink.batches for number in batch] == [0, 1, 2, 3, 4]
    assert (batches.written, batches.dropped) == (5, 4)


async def test_a_close_has_patience_only_so_long() -> None:
    sink = Sink()
    sink.open.clear()
    batches: Batches[int] = Batches("test", sink, seconds=60.0, size=1, most=5)
    batches.add(1)
    batches.finish()
    batches.close(0.01)
    assert sink.closed
    sink.open.set()


async def test_what_a_sink_loses_is_counted_and_a_sink_that_raises_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Sink()
    batches: Batches[int] = Batches("test", sink, seconds=60.0, size=2, most=100)
    for number in (1, -1):
        batches.add(number)
    async with asyncio.timeout(PATIENCE):
        while not sink.batches:
            await asyncio.sleep(0.001)
    sink.fails = True
    for number in (2, 3):
        batches.add(number)
    async with asyncio.timeout(PATIENCE):
        while batches.dropped < 3:
            await asyncio.sleep(0.001)
    sink.fails = False
    batches.add(4)
    batches.finish()
    batches.close(PATIENCE)
    assert sink.batches == [[1, -1], [4]]
    assert (batches.written, batches.dropped) == (2, 3)
    assert "a batch is lost" in caplog.text
