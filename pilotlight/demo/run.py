"""`pilotlight demo`: everything together, the real components and a counted load, then the table and the page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from rich.console import Console

from autoscaler.cluster.local.orphans import become_subreaper
from autoscaler.cluster.local.procfs import RUN_VARIABLE
from pilotlight.arguments import DEFAULT_API, host_and_port
from pilotlight.demo import plan
from pilotlight.demo.load import Ended
from pilotlight.demo.observer import Observer
from pilotlight.demo.outcome import ServiceOutcome, service_outcome
from pilotlight.demo.report.page import write_page
from pilotlight.demo.summary import NOTES, summary_table
from pilotlight.demo.view import Picture, Tally, View, now_after, view_for
from pilotlight.errors import CommandError
from pilotlight.listeners import bind_loopback, check_free
from pilotlight.node import Node, NodeOptions
from pilotlight.orders import Orders
from pilotlight.output_file import check_writable
from pilotlight.prepared import UpOptions, prepare
from pilotlight.run_directory import make_run_directory, remove_run_directory
from pilotlight.up import allow_as_many_files_as_possible

_LONGEST_LOAD = 75.0
_LONGEST_SLEEP = 20.0
_FRAME = 0.25


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The command line; `api` None: the usual place, or any other when that is taken."""

    report: Path
    first_port: int
    api: str | None
    seed: int
    logs: Path | None


@dataclass(frozen=True, slots=True)
class _Clients:
    """What the clients' process needs: where services are, the load's seed, the run it belongs to."""

    urls: dict[str, str]
    seed: int
    run: str


@dataclass(slots=True)
class _Load:
    """What has come from the clients' process."""

    ended: list[Ended] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    sent: int | None = None

    def take(self, line: bytes) -> None:
        body = json.loads(line)
        if "sent" in body:
            self.sent = int(body["sent"])
            return
        request = Ended(**body)
        self.ended.append(request)
        (self.answered if request.problem is None else self.lost)[request.service] += 1

    def tallies(self) -> dict[str, Tally]:
        return {s.service: Tally(self.answered[s.service], self.lost[s.service]) for s in plan.SERVICES}


def run_demo(options: DemoOptions) -> int:
    """Run it; 0 when every request was answered rightly, 1 when one was lost. Raises CommandError."""
    logging.basicConfig(level=logging.ERROR, format="pilotlight: %(message)s", stream=sys.stderr)
    check_writable(options.report, "--report")
    allow_as_many_files_as_possible()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_demo(options))


async def _demo(options: DemoOptions) -> int:
    console = Console()
    orders = Orders()
    become_subreaper()
    demo = asyncio.create_task(_whole(options, console))
    await asyncio.wait((demo, orders.first), return_when=asyncio.FIRST_COMPLETED)
    if not demo.done():
        demo.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await demo
        return 128 + orders.first.result()
    return demo.result()


async def _whole(options: DemoOptions, console: Console) -> int:
    began = time.time()
    load = _Load()
    with view_for(console) as view:
        async with _running_node(options, view) as (node, urls):
            observer = Observer(node.api, node.activator_metrics, time.time)
            observing = asyncio.create_task(observer.run())
            try:
                began = time.time()
                await _serve(_Clients(urls, options.seed, node.agent.run), load, observer, view, began)
                await observer.look_at_wakes()
            finally:
                observing.cancel()
    observed = observer.observed
    outcomes = [
        service_outcome(s.service, load.ended, observed.samples.get(s.service, []), observed.wakes.get(s.service, []))
        for s in plan.SERVICES
    ]
    write_page(options.report, outcomes, load.ended, observed, began)
    return _conclude(console, outcomes, load, options.report)


async def _serve(what: _Clients, load: _Load, observer: Observer, view: View, began: float) -> None:
    """Run the clients to their end, and then watch until every service sleeps again. Raises CommandError."""
    clients = asyncio.create_task(_clients(what, load))
    try:
        while not clients.done():
            _show(
                view, observer, load, began, "three services, asleep until they are asked; nothing but real processes"
            )
            await asyncio.wait((clients,), timeout=_FRAME)
        clients.result()
        until = time.monotonic() + _LONGEST_SLEEP
        while time.monotonic() < until and not _all_asleep(observer):
            _show(view, observer, load, began, "all requests have ended; waiting until every service sleeps again")
            await asyncio.sleep(_FRAME)
        _show(view, observer, load, began, "done")
    finally:
        clients.cancel()


async def _clients(what: _Clients, load: _Load) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pilotlight.demo.load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        # With the run's mark, the guardian ends the clients too, should this process be killed.
        env={**os.environ, RUN_VARIABLE: what.run},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps({"seed": what.seed, "bursts": plan.bursts(what.urls)}).encode())
        process.stdin.close()
        async with asyncio.timeout(_LONGEST_LOAD):
            async for line in process.stdout:
                load.take(line)
        if await process.wait() != 0 or load.sent is None:
            raise CommandError(f"the demo's clients ended with status {process.returncode}")
    except TimeoutError:
        raise CommandError(f"the demo's clients were not done after {_LONGEST_LOAD:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def _running_node(options: DemoOptions, view: View) -> AsyncIterator[tuple[Node, dict[str, str]]]:
    api = options.api or _free_api()
    up = UpOptions(
        files=plan.manifests(),
        host="127.0.0.1",
        first_port=options.first_port,
        api=api,
        record=None,
        gpus=None,
        logs=options.logs,
        drain_seconds=10.0,
    )
    prepared = prepare(up)
    directory = make_run_directory(options.logs)
    node = Node(prepared.specs, prepared.listeners, prepared.machine, NodeOptions(directory, api, None, 10.0), view.say)
    try:
        await node.start()
        view.say(f"controller's API on {api}: try `pilotlight explain chat --watch --api {api}` in another terminal")
        yield node, {listener.service: f"http://127.0.0.1:{listener.port}" for listener in prepared.listeners}
        await node.stop()
    finally:
        await node.stop_at_once()
        remove_run_directory(directory)


def _show(view: View, observer: Observer, load: _Load, began: float, happening: str) -> None:
    services = [service.service for service in plan.SERVICES]
    samples = {name: sample for name in services if (sample := observer.observed.latest(name)) is not None}
    view.show(Picture(now_after(began), happening, samples, load.tallies()))


def _all_asleep(observer: Observer) -> bool:
    latest = [observer.observed.latest(service.service) for service in plan.SERVICES]
    return all(sample is not None and sample.phase == "asleep" and not sample.existing for sample in latest)


def _conclude(console: Console, outcomes: list[ServiceOutcome], load: _Load, report: Path) -> int:
    console.print()
    console.print(summary_table(outcomes))
    console.print()
    for note in NOTES:
        console.print(note, style="dim", highlight=False)
    console.print(f"\nThe same as charts: {report}", highlight=False)
    for outcome in outcomes:
        for problem, count in Counter(outcome.lost).most_common(5):
            print(f"pilotlight: error: {outcome.service}: {count} lost: {problem}", file=sys.stderr)
    unheard = (load.sent or 0) - len(load.ended)
    if unheard:
        print(f"pilotlight: error: {unheard} requests were sent and never ended", file=sys.stderr)
    return 1 if unheard or any(outcome.lost for outcome in outcomes) else 0


def _free_api() -> str:
    """The usual place, so that other commands find it by themselves; when that is taken, any other."""
    try:
        check_free(*host_and_port(DEFAULT_API), "the controller's API", "--api")
    except CommandError:
        with bind_loopback() as free:
            return f"127.0.0.1:{free.getsockname()[1]}"
    return DEFAULT_API
