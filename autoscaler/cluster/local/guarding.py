"""The agent's end of the guardian's pipe: starts it, tells it of sessions, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from autoscaler.cluster.local.guardian import RUN_FILE, remove_run_directory
from autoscaler.cluster.local.processes import StartError

logger = logging.getLogger(__name__)

# A guardian that dies is replaced at once, as the run is unguarded until then; one that dies young, after a pause.
_YOUNG_SECONDS = 1.0
_PAUSE_SECONDS = 0.5
_START_SECONDS = 10.0


class Guard:
    """Keeps one guardian alive for the run `run` in `directory`. `sessions` are those that have processes now."""

    def __init__(self, run: str, directory: Path, sessions: Callable[[], Sequence[int]]) -> None:
        self._run = run
        self._directory = directory.absolute()
        self._sessions = sessions
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._watching = asyncio.Event()
        self._started = 0.0
        self._closing = False

    @property
    def pid(self) -> int | None:
        """The guardian's process id, None while there is none."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it; returns when it watches, so that nothing is ever started unguarded. Raises StartError."""
        (self._directory / RUN_FILE).write_text(self._run, encoding="ascii")
        self._spawn()
        try:
            await asyncio.wait_for(self._watching.wait(), _START_SECONDS)
        except TimeoutError:
            raise StartError(f"the guardian does not start within {_START_SECONDS:g} s") from None

    def announce(self, line: str) -> None:
        """Tell it one line; when it is being replaced, the next one is told everything."""
        if self._process is not None and self._process.stdin is not None:
            try:
                self._process.stdin.write(line.encode() + b"\n")
            except (BrokenPipeError, BlockingIOError):
                pass

    async def finish(self) -> None:
        """The run is over: let it look for leftovers and remove the run directory; returns when it has."""
        self._closing = True
        if self._restart is not None:
            self._restart.cancel()
            self._spawn()
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        await asyncio.to_thread(process.wait)
        self._forget()
        remove_run_directory(str(self._directory), self._run)  # in case it was killed in the meantime

    def _spawn(self) -> None:
        loop = asyncio.get_running_loop()
        self._restart = None
        self._started = loop.time()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "autoscaler.cluster.local.guardian", self._run, str(self._directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )
        self._pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(self._pidfd, self._died)
        for session in self._sessions():
            self.announce(f"session {session}")
        assert self._process.stdout is not None
        loop.add_reader(self._process.stdout, self._first_word)

    def _first_word(self) -> None:
        """It watches, or it has died; either way there is nothing more to read."""
        assert self._process is not None
        assert self._process.stdout is not None
        if self._process.stdout.read(1):
            self._watching.set()
        asyncio.get_running_loop().remove_reader(self._process.stdout)
        self._process.stdout.close()

    def _died(self) -> None:
        self._forget()
        if not self._closing:
            logger.warning("the guardian died; starting another")
            loop = asyncio.get_running_loop()
            young = loop.time() - self._started < _YOUNG_SECONDS
            self._restart = loop.call_later(_PAUSE_SECONDS if young else 0.0, self._spawn)

    def _forget(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pidfd is not None:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            if self._process.stdout is not None and not self._process.stdout.closed:
                loop.remove_reader(self._process.stdout)
                self._process.stdout.close()
            self._process.wait()
            self._process = None
