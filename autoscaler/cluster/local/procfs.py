"""Which processes belong to a run, read from /proc, and the end of them. Imports only light parts of the library.

A process group does not hold a model's children that called setsid(), and a parent's death does not end its
grandchildren. So each process that a run starts carries the run's id in its environment, which children inherit, and
is the leader of a session of its own. A process belongs to the run when it carries the mark, or is in one of the run's
sessions (some programs write their title over their environment), or descends from one that does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

RUN_VARIABLE = "PILOTLIGHT_RUN"
REPLICA_VARIABLE = "PILOTLIGHT_REPLICA"

_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class ProcessEntry:
    """One line of the process table. `started` (clock ticks since boot) tells a process from a later one of its id."""

    pid: int
    parent: int
    session: int
    started: int
    is_zombie: bool


def read_processes() -> dict[int, ProcessEntry]:
    """All processes of this machine that can be seen from here, by id."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - a Path for each process would double the time of a scan
        if name.isdigit() and (entry := read_process(int(name))) is not None:
            found[entry.pid] = entry
    return found


def read_process(pid: int) -> ProcessEntry | None:
    """One process, None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - as above
            # The name stands in parentheses and may contain anything, parentheses too: count from the last one.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return ProcessEntry(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0] in b"ZX")


def carries(pid: int, mark: bytes) -> bool:
    """Whether a process has the variable `mark` (`NAME=value`) in the environment it was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            return mark in file.read().split(b"\0")
    except OSError:  # gone, or somebody else's: then not ours either
        return False


def find_members(marks: Collection[str], sessions: Collection[int]) -> list[ProcessEntry]:
    """Living processes that carry one of `marks`, are in one of `sessions`, or descend from such a one.

    The caller itself is never among them.
    """
    table = read_processes()
    wanted = [mark.encode() for mark in marks]
    members = {
        entry.pid
        for entry in table.values()
        if entry.session in sessions or any(carries(entry.pid, mark) for mark in wanted)
    }
    members.update(_descendants(table, members))
    members.discard(os.getpid())
    return [table[pid] for pid in sorted(members) if not table[pid].is_zombie]


def find_descendants(root: int, without: Collection[int]) -> list[ProcessEntry]:
    """Children of `root` and theirs, but not the processes `without` and theirs."""
    table = read_processes()
    for pid in without:
        table.pop(pid, None)
    return [table[pid] for pid in _descendants(table, (root,))]


def _descendants(table: dict[int, ProcessEntry], roots: Collection[int]) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in table.values():
        children.setdefault(entry.parent, []).append(entry.pid)
    waiting, seen = list(roots), set(roots)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in seen and child != os.getpid():
                seen.add(child)
                waiting.append(child)
                yield child


def kill_members(find: Callable[[], list[ProcessEntry]]) -> list[ProcessEntry]:
    """SIGKILL what `find` finds, again and again until it finds nothing, since a process may fork while it is killed.

    Returns those that are still there after ten seconds: a process inside of a driver call cannot be killed.
    """
    deadline = time.monotonic() + _KILL_SECONDS
    pause = 0.001
    while members := find():
        for entry in members:
            _kill(entry)
        if time.monotonic() > deadline:
            return members
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    return []


def _kill(entry: ProcessEntry) -> None:
    """SIGKILL exactly this process: a descriptor cannot come to mean another process, as an id can."""
    try:
        descriptor = os.pidfd_open(entry.pid)
    except OSError:
        return
    try:
        now = read_process(entry.pid)
        if now is not None and now.started == entry.started:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # ended by itself, or not ours to kill; the caller sees what is left
    finally:
        os.close(descriptor)
