"""`pilotlight up`: everything on one machine, from the files to the last drained request."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from autoscaler.cluster.local.fields import LaunchError
from autoscaler.cluster.local.machine import Machine, read_machine
from autoscaler.cluster.local.orphans import become_subreaper
from autoscaler.cluster.local.service_spec import ServiceSpec, read_services
from autoscaler.policy.check import check
from autoscaler.policy.manifest import load_manifests
from pilotlight.arguments import DEFAULT_API, host_and_port
from pilotlight.errors import CommandError
from pilotlight.listeners import Listener, bind_services, check_free
from pilotlight.node import Node, NodeOptions
from pilotlight.output_file import check_writable
from pilotlight.run_directory import make_run_directory, remove_run_directory

_ALL_ADDRESSES = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The command line. `api` is HOST:PORT; `gpus` None means those that the machine has."""

    files: tuple[Path, ...]
    host: str
    first_port: int
    api: str
    record: Path | None
    gpus: int | None
    logs: Path | None
    drain_seconds: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known to be good before anything runs."""

    specs: tuple[ServiceSpec, ...]
    listeners: tuple[Listener, ...]
    machine: Machine


def run_up(options: UpOptions) -> int:
    """Serve until a signal; 0 after a drain, 128 + its number when told twice. Raises CommandError."""
    logging.basicConfig(level=logging.WARNING, format="pilotlight: %(message)s", stream=sys.stderr)
    allow_as_many_files_as_possible()
    prepared = prepare(options)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_up(options, prepared))


def prepare(options: UpOptions) -> Prepared:
    """Read, check and bind everything that can be wrong. Raises CommandError with all mistakes of the files at once."""
    if options.record is not None:
        check_writable(options.record, "--record")
    mistakes = check(options.files)
    if mistakes:
        raise CommandError("\n".join(map(str, mistakes)))
    manifests = load_manifests(options.files)
    machine = machine_with(options.gpus)
    listeners = bind_services([manifest.service for manifest in manifests.services], options.host, options.first_port)
    ports = {listener.service: listener.port for listener in listeners}
    try:
        specs = read_services(
            [manifest.body for manifest in manifests.services],
            [manifest.body for manifest in manifests.runtimes],
            machine,
            ports,
            Path.cwd(),
        )
        check_free(*host_and_port(options.api), "the controller's API", "--api")
    except (LaunchError, CommandError) as error:
        for listener in listeners:
            listener.socket.close()
        raise CommandError(str(error)) from error
    return Prepared(specs, listeners, machine)


def machine_with(gpus: int | None) -> Machine:
    """This machine; with `gpus`, as if it had so many devices, numbered from 0."""
    machine = read_machine()
    if gpus is None:
        return machine
    if gpus > len(machine.gpus):
        found = machine.no_gpu_reason or f"{len(machine.gpus)} found"
        logging.getLogger(__name__).warning("--gpus %d: dealing more than this machine shows (%s)", gpus, found)
    return replace(machine, gpus=tuple(map(str, range(gpus))), no_gpu_reason=None if gpus else "--gpus 0")


def allow_as_many_files_as_possible() -> None:
    """Each request holds descriptors, the usual soft limit is 1024, and children inherit what is set here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _up(options: UpOptions, prepared: Prepared) -> int:
    orders = Orders()
    become_subreaper()
    directory = make_run_directory(options.logs)
    node_options = NodeOptions(directory, options.api, options.record, options.drain_seconds)
    node = Node(prepared.specs, prepared.listeners, prepared.machine, node_options, _report)
    try:
        starting = asyncio.create_task(node.start())
        await asyncio.wait((starting, orders.first), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            _announce(options, prepared, directory)
            await orders.first
        else:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        return await _end(node, orders)
    except CommandError:
        await node.stop_at_once()
        raise
    finally:
        remove_run_directory(directory)


async def _end(node: Node, orders: Orders) -> int:
    print("pilotlight: draining; once more to end at once", flush=True)
    stopping = asyncio.create_task(node.stop())
    await asyncio.wait((stopping, orders.second), return_when=asyncio.FIRST_COMPLETED)
    if stopping.done():
        good = stopping.result()
        print("pilotlight: all done" if good else "pilotlight: something had to be killed", flush=True)
        return 0 if good else 1
    await node.stop_at_once()
    await asyncio.gather(stopping, return_exceptions=True)
    return 128 + orders.second.result()


class Orders:
    """Signals to end: the first asks to drain, the second to end at once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[int] = loop.create_future()
        self.second: asyncio.Future[int] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._received, number)

    def _received(self, number: int) -> None:
        order = self.second if self.first.done() else self.first
        if not order.done():
            order.set_result(number)


def _announce(options: UpOptions, prepared: Prepared, directory: Path) -> None:
    width = max(len(listener.service) for listener in prepared.listeners)
    for line in (*_urls(prepared.listeners, options.host, width), f"logs in {options.logs or directory / 'logs'}"):
        print(f"pilotlight: {line}")
    for warning in (warning for spec in prepared.specs for warning in spec.plan.warnings):
        print(f"pilotlight: remark: {warning}")
    print(f"pilotlight: ready; `pilotlight status{_api_flag(options.api)}` shows it, Ctrl-C drains", flush=True)


def _urls(listeners: Sequence[Listener], host: str, width: int) -> list[str]:
    shown = "localhost" if host in _ALL_ADDRESSES else f"[{host}]" if ":" in host else host
    return [f"{listener.service.ljust(width)}  http://{shown}:{listener.port}" for listener in listeners]


def _api_flag(api: str) -> str:
    return "" if api == DEFAULT_API else f" --api {api}"


def _report(line: str) -> None:
    print(f"pilotlight: {line}", file=sys.stderr, flush=True)
