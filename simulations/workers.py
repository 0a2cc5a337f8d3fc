"""Workers: jobs over several processes, which are gone as soon as their parent is, however that ends.

They are forked, so that they have what they work on without its being sent. Each has a connection of its own whose
ends nobody else holds: that it ends says that the other side has died. Where processes share a queue instead, an answer
that was cut short by the death of its sender is awaited for ever.

Ctrl-C is kept away while processes are made: what is raised inside a fork, in the functions that the interpreter calls
after it, is dropped, and with it the wish of whoever pressed it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import NamedTuple, TypeVar

Answer = TypeVar("Answer")

_PR_SET_PDEATHSIG = 1


class WorkerDiedError(Exception):
    """A process ended before its job did, without saying why."""


class _Worker(NamedTuple):
    process: ForkProcess
    connection: Connection


def in_order(work: Callable[[int], Answer], jobs: int, workers: int) -> Generator[Answer, None, None]:
    """`work(0)`, `work(1)`, … up to `jobs`, in this order, whoever ends first. Close it to end what still runs.

    For one worker or one job no process is made. Raises WorkerDiedError, and what `work` raises.
    """
    if workers < 2 or jobs < 2:
        yield from map(work, range(jobs))
        return
    hired: list[_Worker] = []
    try:
        with _no_interrupts():
            for _ in range(min(workers, jobs)):
                hired.append(_hire(work, hired))
        done: dict[int, Answer] = {}
        doing: dict[Connection, int] = {}
        for job, worker in enumerate(hired):
            _give(worker.connection, job)
            doing[worker.connection] = job
        next_job = len(hired)
        for job in range(jobs):
            while job not in done:
                for connection in wait(list(doing)):
                    assert isinstance(connection, Connection)
                    done[doing.pop(connection)] = _answer(connection)
                    if next_job < jobs:
                        _give(connection, next_job)
                        doing[connection] = next_job
                        next_job += 1
            yield done.pop(job)
    finally:
        with _no_interrupts():
            for worker in hired:
                worker.process.kill()
            for worker in hired:
                worker.process.join()
                worker.connection.close()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """SIGINT waits until the block is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hire(work: Callable[[int], object], others: Sequence[_Worker]) -> _Worker:
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    not_theirs = [ours, *(other.connection for other in others)]
    process = fork.Process(target=_serve, args=(work, theirs, not_theirs, os.getpid()))
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(work: Callable[[int], object], connection: Connection, not_ours: Sequence[Connection], parent: int) -> None:
    """In the worker: jobs in, answers out, until the parent ends it."""
    # Ctrl-C goes to the whole group of processes; the one that reports it ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return  # it has died before it was asked that we should be told
    for each in not_ours:
        each.close()
    with suppress(EOFError, OSError):  # the parent has gone
        while True:
            job = connection.recv()
            connection.send(_tried(work, job))


def _tried(work: Callable[[int], Answer], job: int) -> tuple[Answer | None, Exception | None]:
    try:
        return work(job), None
    except Exception as error:
        return None, error


def _give(connection: Connection, job: int) -> None:
    with suppress(BrokenPipeError):  # that it has died is seen when its answer is awaited
        connection.send(job)


def _answer(connection: Connection) -> Answer:  # type: ignore[type-var]
    try:
        answer, error = connection.recv()
    except (EOFError, ConnectionResetError):
        raise WorkerDiedError from None
    if error is not None:
        raise error
    return answer  # type: ignore[no-any-return]
