"""What is known to be good before anything runs: files read and checked, sockets bound, commands found.

The same reading serves a running `up` that is told to follow its files: a mistake in them must be found before anything
is changed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.machine import Machine, read_machine
from autoscaler.cluster.local.service_spec import ServiceSpec, read_services
from autoscaler.policy.parse import spelled_out
from pilotlight.arguments import host_and_port
from pilotlight.errors import CommandError
from pilotlight.given_manifests import given_manifests
from pilotlight.listeners import Listener, bind_services, check_free
from pilotlight.output_file import check_writable


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


def prepare(options: UpOptions) -> Prepared:
    """Read, check and bind everything that can be wrong. Raises CommandError with all mistakes of the files at once."""
    if options.record is not None:
        check_writable(options.record, "--record")
    machine = machine_with(options.gpus)
    listeners, specs = bind_and_read(options, machine, (), options.first_port)
    try:
        check_free(*host_and_port(options.api), "the controller's API", "--api")
    except CommandError:
        _close(listeners)
        raise
    return Prepared(specs, listeners, machine)


def bind_and_read(
    options: UpOptions, machine: Machine, bound: Sequence[Listener], next_port: int
) -> tuple[tuple[Listener, ...], tuple[ServiceSpec, ...]]:
    """The listeners and services that the files ask for now. Listeners in `bound` are used again; others are bound on
    ports from `next_port`. Raises CommandError with all mistakes at once; then nothing new stays bound."""
    manifests = given_manifests(options.files)
    known = {listener.service: listener for listener in bound}
    names = [manifest.service for manifest in manifests.services]
    new = bind_services([name for name in names if name not in known], options.host, next_port)
    known |= {listener.service: listener for listener in new}
    try:
        specs = read_services(
            [spelled_out(manifest.body, manifests.profiles) for manifest in manifests.services],
            [manifest.body for manifest in manifests.runtimes],
            machine,
            {service: listener.port for service, listener in known.items()},
            Path.cwd(),
        )
    except LaunchError as error:
        _close(new)
        raise CommandError(str(error)) from error
    return tuple(known[name] for name in names), specs


def _close(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        listener.socket.close()


def machine_with(gpus: int | None) -> Machine:
    """This machine; with `gpus`, as if it had so many devices, numbered from 0."""
    machine = read_machine()
    if gpus is None:
        return machine
    if gpus > len(machine.gpus):
        found = machine.no_gpu_reason or f"{len(machine.gpus)} found"
        logging.getLogger(__name__).warning("--gpus %d: dealing more than this machine shows (%s)", gpus, found)
    return replace(machine, gpus=tuple(map(str, range(gpus))), no_gpu_reason=None if gpus else "--gpus 0")
