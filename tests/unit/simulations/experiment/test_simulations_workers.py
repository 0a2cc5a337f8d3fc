"""Workers: answers in order, errors as they are, and nobody left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from simulations.workers import WorkerDiedError, in_order


@pytest.mark.parametrize(("jobs", "workers"), [(0, 2), (1, 3), (7, 1), (7, 2), (3, 8), (40, 3)])
def test_answers_come_in_order(jobs: int, workers: int) -> None:
    assert list(in_order(lambda job: job * job, jobs, workers)) == [job * job for job in range(jobs)]


def test_answers_larger_than_a_pipe_come_whole() -> None:
    assert [len(answer) for answer in in_order(lambda job: bytes(300_000 + job), 6, 2)] == [
        300_000 + job for job in range(6)
    ]


def test_what_a_job_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda job: 1 // (job - 3), 8, 2))


def test_a_worker_that_is_killed_is_told_and_takes_the_others_with_it() -> None:
    workers: list[int] = []

    def work(job: int) -> int:
        if job == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    with pytest.raises(WorkerDiedError), closing(in_order(work, 8, 2)) as answers:
        workers += answers
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_closing_ends_those_that_still_work() -> None:
    def work(job: int) -> int:
        while job:
            signal.pause()
        return os.getpid()

    with closing(in_order(work, 3, 3)) as answers:
        first = next(answers)
    assert not Path(f"/proc/{first}").exists()
    assert not multiprocessing.active_children()


def test_workers_end_with_a_parent_that_is_killed() -> None:
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:

        def work(job: int) -> int:
            while job:
                signal.pause()
            return os.getpid()

        with closing(in_order(work, 2, 2)) as answers:
            os.write(writer, b"%d" % next(answers))
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writer)
    os.waitpid(parent, 0)
    with os.fdopen(reader, "rb") as pipe:
        assert int(pipe.read()) > 0  # it ends when nobody has the other end: neither parent nor workers


def test_a_worker_that_has_just_begun_ends_with_its_parent_too() -> None:
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:

        def work(job: int) -> None:
            signal.pause()

        # Jobs are given out, and then the parent is gone, before a worker has said a word to the kernel.
        os.register_at_fork(after_in_child=lambda: time.sleep(0.5))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        list(in_order(work, 2, 2))
    os.close(writer)
    assert os.WTERMSIG(os.waitpid(parent, 0)[1]) == signal.SIGALRM
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b""
