"""`pilotlight up`: everything on one machine, from the files to the last drained request."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from autoscaler.cluster.local.orphans import become_subreaper
from pilotlight.arguments import DEFAULT_API
from pilotlight.errors import CommandError
from pilotlight.listeners import Listener
from pilotlight.node import Node, NodeOptions
from pilotlight.orders import Orders
from pilotlight.prepared import Prepared, UpOptions, prepare
from pilotlight.rolling import Rolling
from pilotlight.run_directory import make_run_directory, remove_run_directory

_ALL_ADDRESSES = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound


def run_up(options: UpOptions) -> int:
    """Serve until a signal; 0 after a drain, 128 + its number when told twice. Raises CommandError."""
    logging.basicConfig(level=logging.WARNING, format="pilotlight: %(message)s", stream=sys.stderr)
    allow_as_many_files_as_possible()
    prepared = prepare(options)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_up(options, prepared))


def allow_as_many_files_as_possible() -> None:
    """Each request holds descriptors, the usual soft limit is 1024, and children inherit what is set here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _up(options: UpOptions, prepared: Prepared) -> int:
    orders = Orders(rolling=True)
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
            rolling = asyncio.create_task(Rolling(node, options, prepared.machine, _say, _report).run(orders.rolls))
            await orders.first
            rolling.cancel()
            await asyncio.gather(rolling, return_exceptions=True)
        else:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        return await _end(node, orders)
    except (CommandError, OSError):  # what could not be printed, say: nobody would know that we run
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


def _say(line: str) -> None:
    print(f"pilotlight: {line}", flush=True)


def _report(line: str) -> None:
    print(f"pilotlight: {line}", file=sys.stderr, flush=True)
