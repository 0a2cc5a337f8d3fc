"""Processes of a run: started so that none can outlive us, watched without polling, and ended for certain.

Each is the leader of its own session (a Ctrl-C at the terminal is for us, not for the models), is killed by the kernel
when we die (PR_SET_PDEATHSIG), and carries the run's mark, by which `procfs` finds all that it has started in turn.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoscaler.cluster.local.log_file import LogFile
from autoscaler.cluster.local.procfs import (
    REPLICA_VARIABLE,
    RUN_VARIABLE,
    ProcessEntry,
    find_members,
    kill_members,
)

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: between fork and exec nothing should be imported or opened.
_libc = ctypes.CDLL(None, use_errno=True)


class StartError(Exception):
    """A process could not be started: says which program and why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: `code` as a shell knows it, negative for a signal."""

    code: int

    def __str__(self) -> str:
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"killed by signal {-self.code}"


class Process:
    """One process that we started. `ended` is done when it has been reaped."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.pid = popen.pid
        self.ended: asyncio.Future[Ended] = loop.create_future()
        self._popen = popen
        self._loop = loop
        self._pidfd = os.pidfd_open(popen.pid)
        loop.add_reader(self._pidfd, self._reap)

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = self._popen.wait()
        if not self.ended.done():
            self.ended.set_result(Ended(code))

    @property
    def running(self) -> bool:
        """False once it has been reaped."""
        return not self.ended.done()

    def send(self, number: signal.Signals) -> None:
        """Signal the whole process group; the leader, not yet reaped, keeps its id from meaning anybody else."""
        if self.running:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                pass  # it has ended and is about to be reaped

    async def stop(self, grace_seconds: float) -> Ended:
        """SIGTERM, then after `grace_seconds` SIGKILL; returns when it has been reaped."""
        self.send(signal.SIGTERM)
        try:
            return await asyncio.wait_for(asyncio.shield(self.ended), grace_seconds)
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await asyncio.shield(self.ended)


class Processes:
    """All processes of one run. `announce` tells the guardian of sessions (`session 4711`, `forget 4711`)."""

    def __init__(self, run: str, announce: Callable[[str], None]) -> None:
        self.run = run
        self._announce = announce
        self._sessions: dict[str, set[int]] = {}

    def start(
        self,
        owner: str,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        directory: Path | None = None,
        log: LogFile | None = None,
        keep: Sequence[int] = (),
    ) -> Process:
        """Start `argv` on behalf of `owner` (a replica, say), keeping the descriptors `keep` open in it.

        Raises StartError.
        """
        loop = asyncio.get_running_loop()
        output = log.open_pipe(loop) if log is not None else subprocess.DEVNULL
        # The name of a replica is random, yet another run could have drawn it: its mark names the run too.
        marked = {**environment, RUN_VARIABLE: self.run, REPLICA_VARIABLE: f"{self.run}/{owner}"}
        try:
            popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env=marked,
                pass_fds=keep,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise StartError(f"{argv[0]} could not be started: {error}") from error
        finally:
            if log is not None:
                os.close(output)
        self._sessions.setdefault(owner, set()).add(popen.pid)
        self._announce(f"session {popen.pid}")
        return Process(popen, name, loop)

    async def sweep(self, owner: str) -> list[ProcessEntry]:
        """Kill whatever is left of `owner`'s processes and of theirs; returns those that would not die.

        In a thread: a machine may have thousands of processes, and reading their table takes a while.
        """
        sessions, mark = frozenset(self._sessions.get(owner, ())), self._mark(owner)
        left = await asyncio.to_thread(kill_members, lambda: find_members((mark,), sessions))
        if not left:
            for session in self._sessions.pop(owner, set()):
                self._announce(f"forget {session}")
        return left

    def _mark(self, owner: str) -> str:
        return f"{REPLICA_VARIABLE}={self.run}/{owner}"

    @property
    def sessions(self) -> tuple[int, ...]:
        """Sessions that may still have processes."""
        return tuple(session for sessions in self._sessions.values() for session in sessions)


def _die_with(parent: int) -> Callable[[], None]:
    """What a child does between fork and exec: ask the kernel to be killed when `parent` dies."""

    def hook() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return hook
