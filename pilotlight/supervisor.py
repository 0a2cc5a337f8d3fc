"""Keeps a component running: starts it, says when it dies and why, and starts it again after a pause that grows."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoscaler.cluster.local.log_file import LogFile
from autoscaler.cluster.local.processes import Process, Processes, StartError

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
# A component that has run for this long has recovered: its next death is a first one again.
_STEADY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """What is started; `inherited` are file descriptors that it gets under the same numbers. What it logs is read by
    who looks for it; the first line of each process with the words `worth_telling`, if there are any, is reported."""

    name: str
    command: Sequence[str]
    log: Path
    inherited: tuple[int, ...] = ()
    worth_telling: str = ""


class Component:
    """One supervised process. `report` gets a line for a person whenever it dies, or says what is worth telling."""

    def __init__(self, spec: ComponentSpec, processes: Processes, report: Callable[[str], None]) -> None:
        self.spec = spec
        self.deaths = 0
        self._processes = processes
        self._report = report
        self._log = LogFile(spec.log, heard=self._tell if spec.worth_telling else None)
        self._told = False
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._ordered = False

    @property
    def running(self) -> bool:
        """False between a death and the next start."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it and keep it running. Raises StartError when it cannot be started at all."""
        process = self._spawn()
        self._task = asyncio.create_task(self._keep(process), name=f"supervise {self.spec.name}")

    async def stop(self, within: float) -> bool:
        """SIGTERM, and SIGKILL past `within` seconds; returns when it has ended. True when it took no SIGKILL."""
        self._stopping.set()
        process = self._process
        if process is None or self._task is None:
            return True
        ended = await process.stop(within) if process.running else None
        await self._task
        self._log.close()
        return ended is None or ended.code != -signal.SIGKILL

    async def restart(self, within: float) -> None:
        """SIGTERM, and SIGKILL past `within` seconds; returns when it has ended. It is started again at once."""
        if self._process is not None and self._process.running:
            self._ordered = True
            await self._process.stop(within)

    def kill(self) -> None:
        """SIGKILL, and no restart."""
        self._stopping.set()
        if self._process is not None:
            self._process.send(signal.SIGKILL)

    def last_lines(self, count: int = 8) -> tuple[str, ...]:
        """The end of what it printed."""
        return self._log.last_lines(count)

    async def _keep(self, process: Process | None) -> None:
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            how = "could not be started" if process is None else str(await asyncio.shield(process.ended))
            if self._stopping.is_set():
                return
            if self._ordered:
                self._ordered = False
                process = self._start_or_say_why()
                continue
            self.deaths += 1
            if time.monotonic() - started >= _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            self._report(f"the {self.spec.name} died ({how}); starting it again in {pause:g} s; log: {self.spec.log}")
            if await self._stopped_within(pause):
                return
            pause = min(pause * 2, _LONGEST_PAUSE)
            process = self._start_or_say_why()

    def _tell(self, data: bytes) -> None:
        for line in data.decode(errors="replace").splitlines():
            _, words, rest = line.partition(self.spec.worth_telling)
            if words and not self._told:
                self._told = True
                self._report(f"the {self.spec.name} {words}{rest}")

    def _start_or_say_why(self) -> Process | None:
        try:
            return self._spawn()
        except StartError as error:
            # Out of processes or memory: the machine's trouble may pass, and requests wait in the meantime.
            self._report(str(error))
            return None

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _spawn(self) -> Process:
        name = self.spec.name
        self._told = False
        self._process = self._processes.start(
            name, name, self.spec.command, os.environ, log=self._log, keep=self.spec.inherited
        )
        return self._process
