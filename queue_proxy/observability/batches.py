"""Batches: from the path to a thread that writes, without the path ever waiting for it.

A disk that is full, a pipe that nobody reads, a collector that does not answer: each makes its writer slow or stop, and
none of that may reach a request. So records wait within a bound, and what comes beyond it is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

log = logging.getLogger(__name__)

Record = TypeVar("Record")
RecordIn = TypeVar("RecordIn", contravariant=True)


class Sink(Protocol[RecordIn]):
    """Where batches end. Called from one thread of its own."""

    def write(self, batch: Sequence[RecordIn]) -> int:
        """Write these; returns how many of them are lost."""
        ...

    def close(self) -> None:
        """Nothing comes any more. Also called, from elsewhere, to end a `write` that takes too long."""
        ...


class Batches(Generic[Record]):
    """Collects records for at most `seconds`, or until there are `size`, and hands them to a thread.

    most     records that may wait, collected or handed over
    written  records that the sink has taken
    dropped  records that are lost: there were too many, or the sink failed
    """

    def __init__(self, name: str, sink: Sink[Record], *, seconds: float, size: int, most: int) -> None:
        self._sink = sink
        self._seconds = seconds
        self._size = size
        self._most = most
        self._collected: list[Record] = []
        self._timer: asyncio.TimerHandle | None = None
        self._handed_over: queue.SimpleQueue[list[Record] | None] = queue.SimpleQueue()
        # Each of these has one writer: the loop's thread writes the first two, ours the others.
        self._taken = 0
        self._refused = 0
        self._done = 0
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name=name, daemon=True)
        self._thread.start()

    @property
    def written(self) -> int:
        """See the class."""
        return self._done - self._lost

    @property
    def dropped(self) -> int:
        """See the class."""
        return self._refused + self._lost

    def add(self, record: Record) -> None:
        """Take a record, or drop it. Costs an append and at most one timer per batch."""
        if self._taken - self._done >= self._most:
            self._refused += 1
            return
        self._taken += 1
        collected = self._collected
        collected.append(record)
        if len(collected) >= self._size:
            self._hand_over()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._hand_over)

    def finish(self) -> None:
        """Nothing comes any more: have the thread write what is left, and end."""
        self._hand_over()
        self._handed_over.put(None)

    def close(self, seconds: float) -> None:
        """Wait for that at most so long, blocking; what is not written by then is lost."""
        self._thread.join(seconds)
        self._sink.close()

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._collected:
            self._handed_over.put(self._collected)
            self._collected = []

    def _write(self) -> None:
        while (batch := self._handed_over.get()) is not None:
            try:
                lost = self._sink.write(batch)
            except Exception:
                log.exception("%s: a batch is lost", self._thread.name)
                lost = len(batch)
            self._lost += lost
            self._done += len(batch)
