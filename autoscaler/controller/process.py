"""Puts the controller together and keeps it running until it is told to stop.

Which kind of cluster it controls is decided here and nowhere else: the loop knows only the `Cluster` protocol.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import uvloop
from aiohttp import web

from autoscaler.cluster.interface import Cluster
from autoscaler.cluster.local.client import LocalCluster
from autoscaler.controller.api import api_application
from autoscaler.controller.clock import anchored_clock
from autoscaler.controller.listening import listening_socket
from autoscaler.controller.loop import Controller
from autoscaler.controller.recorder import Recorder, RecorderError
from autoscaler.controller.settings import (
    Address,
    ClusterTarget,
    Config,
    SettingsError,
    TcpAddress,
    UnixAddress,
    config_from,
)

_log = logging.getLogger(__name__)

_CLOSE_WITHIN = 2.0


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status."""
    try:
        config = config_from(argv)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    logging.basicConfig(stream=sys.stderr, level=config.log_level, format="%(asctime)s %(levelname)-7s %(message)s")
    try:
        uvloop.run(run(config))
    except (RecorderError, SettingsError) as error:
        _log.error("%s", error)
        return 1
    return 0


async def run(config: Config) -> None:
    """Control until told to stop. Raises RecorderError, SettingsError for an address that cannot be used."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _told_to_end, stopped)
    clock = anchored_clock()
    async with AsyncExitStack() as stack:
        recorder = None
        if config.record is not None:
            recorder = Recorder(config.record)
            stack.callback(recorder.close)
        cluster = await stack.enter_async_context(open_cluster(config.cluster))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False)
        )
        controller = Controller(cluster, session, recorder, clock, config.cadence, epoch=secrets.token_hex(8))
        control = await stack.enter_async_context(_served(controller.intake.application(), config.control))
        stack.push_async_callback(controller.intake.close)
        knowledge = api_application(controller, clock, config.api.host)
        api = await stack.enter_async_context(_served(knowledge, config.api))
        _log.info("controlling %s; activators on %s, API on %s", config.cluster.address, control, api)
        await _until(stopped, controller)
        _log.info("stopping")


def _told_to_end(stopped: asyncio.Event) -> None:
    """The first time, end in good order; the second time at once. Nothing is lost then: a recording is not buffered."""
    if stopped.is_set():
        os._exit(128 + signal.SIGTERM)
    stopped.set()


@asynccontextmanager
async def open_cluster(target: ClusterTarget) -> AsyncIterator[Cluster]:
    """The cluster that `--cluster` names. Raises SettingsError for one that cannot be had."""
    match target.kind:
        case "local":
            async with LocalCluster(target.address) as cluster:
                yield cluster
        case "kubernetes":
            async with _open_kubernetes(target) as cluster:
                yield cluster
        case _:
            raise SettingsError(f"--cluster {target}: there is no such kind of cluster; known: local, kubernetes")


@asynccontextmanager
async def _open_kubernetes(target: ClusterTarget) -> AsyncIterator[Cluster]:
    """Imported only here: who serves on one machine needs none of it."""
    try:
        from autoscaler.cluster.kubernetes.connection import ConnectionSettingsError
        from autoscaler.cluster.kubernetes.opening import open_kubernetes
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--cluster {target} needs the Kubernetes client: pip install 'pilotlight[cluster]' ({error})"
        ) from error
    try:
        async with open_kubernetes(target.address) as cluster:
            yield cluster
    except ConnectionSettingsError as error:
        raise SettingsError(f"--cluster {target}: {error}") from error


async def _until(stopped: asyncio.Event, controller: Controller) -> None:
    """Run the controller until it is told to stop; raises what ended it if it ends by itself."""
    controlling = asyncio.create_task(controller.run())
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait((controlling, stopping), return_when=asyncio.FIRST_COMPLETED)
        if controlling.done():
            await controlling
    finally:
        for task in (controlling, stopping):
            task.cancel()
        await asyncio.gather(controlling, stopping, return_exceptions=True)


@asynccontextmanager
async def _served(application: web.Application, address: Address) -> AsyncIterator[Address]:
    """Serve on `address`; gives the address that it really is. Raises SettingsError when it cannot be had."""
    listener = listening_socket(address)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_WITHIN)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield address if isinstance(address, UnixAddress) else TcpAddress(address.host, listener.getsockname()[1])
    finally:
        await runner.cleanup()
        listener.close()
