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
from typing import Literal

import uvloop
from aiohttp import web

from autoscaler.cluster.interface import GpuSource
from autoscaler.cluster.local.client import LocalCluster
from autoscaler.controller.api import api_application
from autoscaler.controller.clock import anchored_clock
from autoscaler.controller.huge_pages import keep_together
from autoscaler.controller.instance import ControllerInstance
from autoscaler.controller.leadership import Alone, Membership
from autoscaler.controller.listening import listening_socket
from autoscaler.controller.loop import Controller
from autoscaler.controller.readings.gpu_metrics import GpuMetrics
from autoscaler.controller.recorder import Recorder, RecorderError
from autoscaler.controller.settings import (
    Address,
    Config,
    PrometheusAddress,
    SettingsError,
    TcpAddress,
    UnixAddress,
    config_from,
)
from queue_proxy.garbage_collector import look_less_often

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
        stack.push_async_callback(_ended, asyncio.create_task(keep_together()))
        recorder = None
        if config.record is not None:
            recorder = Recorder(config.record)
            stack.callback(recorder.close)
        member = await stack.enter_async_context(open_membership(config))

        def controller() -> Controller:
            gpus = None if member.gpus is None else GpuMetrics(member.gpus, clock, config.cadence.gpus)
            return Controller(member.cluster, recorder, clock, config.cadence, secrets.token_hex(8), gpus)

        instance = ControllerInstance(
            controller, member.leadership, member.announce, member.authenticator, member.replica_door
        )
        governing = asyncio.create_task(_govern(instance, member))
        stack.push_async_callback(_ended, governing)
        control = await stack.enter_async_context(_served(instance.application(), config.control))
        knowledge = api_application(instance, clock, config.api.host, member.hosts, config.identity, config.record)
        api = await stack.enter_async_context(_served(knowledge, config.api))
        _log.info("controlling %s; activators on %s, API on %s", config.cluster.address, control, api)
        await _until(stopped, governing)
        _log.info("stopping")


async def _govern(instance: ControllerInstance, member: Membership) -> None:
    """Lead whenever it is our turn, once we know what there is to lead."""
    await member.synced()
    look_less_often()  # at what was listed, too
    instance.synced = True
    await member.leadership.run(instance.lead)


def _told_to_end(stopped: asyncio.Event) -> None:
    """The first time, end in good order; the second time at once. Nothing is lost then: a recording is not buffered."""
    if stopped.is_set():
        os._exit(128 + signal.SIGTERM)
    stopped.set()


@asynccontextmanager
async def open_membership(config: Config) -> AsyncIterator[Membership]:
    """A place in the cluster that `--cluster` names. Raises SettingsError for one that cannot be had."""
    target = config.cluster
    match target.kind:
        case "local":
            async with LocalCluster(target.address) as cluster:
                yield Membership(cluster, Alone(), gpus=cluster)
        case "kubernetes":
            async with _in_kubernetes(config) as member:
                yield member
        case _:
            raise SettingsError(f"--cluster {target}: there is no such kind of cluster; known: local, kubernetes")


@asynccontextmanager
async def _in_kubernetes(config: Config) -> AsyncIterator[Membership]:
    """Imported only here: who serves on one machine needs none of it."""
    try:
        from autoscaler.cluster.kubernetes.credentials import ConnectionSettingsError
        from autoscaler.cluster.kubernetes.member import Candidature, open_member
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--cluster {config.cluster} needs the Kubernetes client: pip install 'pilotlight[cluster]' ({error})"
        ) from error
    candidature = None
    hosts = frozenset({config.pod_address} - {""})
    if config.lease is not None:
        ports = {"api": config.api.port}
        if isinstance(config.control, TcpAddress):
            ports["control"] = config.control.port
        namespace, name = config.lease.namespace, config.lease.name
        candidature = Candidature(namespace, name, config.identity, config.pod_address, ports)
        service = f"{name}.{namespace}"
        hosts |= {name, service, f"{service}.svc", f"{service}.svc.cluster.local"}
    try:
        async with open_member(config.cluster.address, candidature, config.activators) as member:
            yield Membership(
                cluster=member.cluster,
                leadership=member.elector or Alone(),
                synced=member.cluster.synced,
                announce=member.announce,
                authenticator=member.authenticator,
                replica_door=member.told_addresses,
                hosts=hosts,
                gpus=None if config.prometheus is None else _prometheus(config.prometheus),
            )
    except ConnectionSettingsError as error:
        raise SettingsError(f"--cluster {config.cluster}: {error}") from error


def _prometheus(address: PrometheusAddress) -> GpuSource:
    try:
        from autoscaler.controller.readings.prometheus_gpus import PrometheusGpus
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--prometheus needs its client library: pip install 'pilotlight[cluster]' ({error})"
        ) from error
    return PrometheusGpus(address)


async def _until(stopped: asyncio.Event, governing: asyncio.Task[None]) -> None:
    """Go on until told to stop; raises what ended the control if it ends by itself."""
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait((governing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if governing.done():
            await governing
    finally:
        await _ended(stopping)
        await _ended(governing)


async def _ended(task: asyncio.Task[None] | asyncio.Task[Literal[True]]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


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
