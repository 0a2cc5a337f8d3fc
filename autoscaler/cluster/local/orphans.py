"""Orphans: what replicas' children become when their parents die before them.

As a subreaper, the process that owns the run adopts them: they stay in its tree instead of going to init. So it must
also do init's work and reap them, or a model that starts daemons would fill the process table.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Collection
from pathlib import Path

from autoscaler.cluster.local.procfs import ProcessEntry, find_descendants, read_process

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_LOOK_SECONDS = 3.0
_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Make orphaned descendants children of this process."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(number)}")


def is_subreaper() -> bool:
    """Whether this process adopts orphans."""
    answer = ctypes.c_int(0)
    return _libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0) == 0 and answer.value == 1


async def reap_orphans() -> None:
    """Reap dead orphans for ever.

    A dead child may also be one that somebody in this process has started and is about to wait for, and whose exit
    code he wants. He does so as soon as it has ended; who is still there at the second look is nobody's.
    """
    before: set[tuple[int, int]] = set()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        dead = _dead_children()
        for pid, _ in dead & before:
            try:
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - does not wait
            except ChildProcessError:
                pass  # somebody was faster
        before = dead - before


def find_orphans(ours: Collection[int]) -> list[ProcessEntry]:
    """Living descendants of this process, without those in `ours` and theirs.

    Once a run has ended its replicas, these are what has shed the run's mark and session too, as `env -i setsid` does:
    by nothing else can they be told from strangers.
    """
    return [entry for entry in find_descendants(os.getpid(), ours) if not entry.is_zombie]


def _dead_children() -> set[tuple[int, int]]:
    """Id and start of this process's zombies."""
    dead = set()
    for children in Path("/proc/self/task").glob("*/children"):
        try:
            pids = children.read_text(encoding="ascii").split()
        except OSError:  # that thread has ended
            continue
        for pid in pids:
            entry = read_process(int(pid))
            if entry is not None and entry.is_zombie:
                dead.add((entry.pid, entry.started))
    return dead
