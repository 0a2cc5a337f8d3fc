"""A real Prometheus server, and the exporters that it scrapes: pages of text that a test sets."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.integration.controller.controller_links import served
from tests.integration.controller.controller_process import eventually


class Exporter:
    """`/metrics` with these lines; an exporter that is not `well` answers 500.

    Of one whose numbers are `late` each says that it was measured so many seconds ago.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.well = True
        self.late = 0.0

    async def page(self, request: web.Request) -> web.Response:
        stamp = f" {(time.time() - self.late) * 1000:.0f}" if self.late else ""
        lines = [line if line.startswith("#") else f"{line}{stamp}" for line in self.lines]
        return web.Response(text="\n".join([*lines, ""]), status=200 if self.well else 500)


def line(name: str, value: float | str, **labels: str) -> str:
    """One line of the text format."""
    said = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{said}}} {value}"


@asynccontextmanager
async def exporting(count: int) -> AsyncIterator[list[tuple[Exporter, str]]]:
    """So many exporters, each with its HOST:PORT."""
    exporters = [Exporter() for _ in range(count)]
    application = web.Application()
    for index, exporter in enumerate(exporters):
        application.router.add_get(f"/{index}/metrics", exporter.page)
    async with served(application) as url:
        yield [(exporter, url.removeprefix("http://")) for exporter in exporters]


class Prometheus:
    """The server's process. It may be stopped and started again on the same port, with the data it had."""

    def __init__(self, folder: Path, jobs: Sequence[dict[str, object]], host: str = "127.0.0.1") -> None:
        found = shutil.which("prometheus")
        if found is None:
            pytest.skip("prometheus is not there: apt-get install prometheus")
        self._program: str = found
        self._folder = folder
        self._process: Process | None = None
        (folder / "prometheus.yml").write_text(
            yaml.safe_dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": list(jobs)})
        )
        with socket.socket() as free:
            free.bind((host, 0))
            self.address = f"{host}:{free.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            f"--config.file={self._folder}/prometheus.yml",
            f"--storage.tsdb.path={self._folder}/data",
            f"--web.listen-address={self.address}",
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        await eventually("Prometheus to be ready", self._ready)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    async def _ready(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def scraped_by_prometheus(
    folder: Path, jobs: Sequence[dict[str, object]], host: str = "127.0.0.1"
) -> AsyncIterator[Prometheus]:
    server = Prometheus(folder, jobs, host)
    try:
        await server.start()
        yield server
    finally:
        await server.stop(signal.SIGKILL)
