"""How cost grows with services: the controller's parts, each fed with what it would be told, without any cluster.

Processor time of this process, in milliseconds a second of control: what the part takes of a core, times a thousand.
Least of several rounds, so that what else the machine does counts little.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import process_time

from activator.messages import Endpoint, EndpointState, HoldBounds, Route, Timeouts, parse_stats_push
from activator.push_writer import WHOLE_EVERY, PushWriter
from autoscaler.controller.readings.activator_connections import RoutesText
from autoscaler.controller.readings.push_reader import PushReader
from autoscaler.controller.service.routes import RoutingTable
from benchmarks.decide import Fleet
from benchmarks.kubernetes_scale.replicas import stats
from queue_proxy.messages import Stats, parse_stats

PERIOD = 2.0  # of evaluations; scrapes and pushes come every second
ROUNDS = 3
PUSHES_OF_NEWS = WHOLE_EVERY - 1  # for each that tells everything


@dataclass(frozen=True, slots=True)
class Growth:
    """Milliseconds of processor time for each second of control, unless something else is said.

    awake, asleep      deciding on all services, with three replicas each and with none
    heard              taking in what their replicas say, read from JSON; connections apart
    push_made, push_read  one activator's second, all idle: made by it, and read by the controller
    table_written      milliseconds for the message that tells activators of one change: once for each step of a wake
    view_mib, view_seconds  memory and time for lists of all objects, see benchmarks.kubernetes_memory
    change_milliseconds  one pod's change, from the watch to new views
    """

    services: int
    awake: float
    asleep: float
    heard: float
    push_made: float
    push_read: float
    push_kilobytes: float
    table_written: float
    view_mib: float
    view_seconds: float
    change_milliseconds: float


def measure(services: int) -> Growth:
    """Takes seconds for thousands of services."""
    awake = _passes(Fleet(services, 3, load=1))
    sleeping = Fleet(services, 0, load=0)
    asleep = _passes(sleeping)
    body = json.dumps(stats("model-1-predictor-7d4f9c-00001", 1e4).to_json(), separators=(",", ":"))
    heard = _least(lambda: [parse_stats(json.loads(body)) for _ in range(3 * services)])
    quiet = {
        f"team-{number % 50}/model-{number}": Stats("activator/one", "epoch", 1e4, arrived=number)
        for number in range(services)
    }
    writer, reader = PushWriter(), PushReader()
    whole = _json(writer.whole(quiet, 1e4, accepts_still=True).to_json())
    reader.read(parse_stats_push(json.loads(whole)))
    text = _json(writer.whole(quiet, 1e4, accepts_still=True).to_json())
    made = _least(lambda: _json(writer.whole(quiet, 1e4, accepts_still=True).to_json()))
    read = _least(lambda: reader.read(parse_stats_push(json.loads(text))))
    whole_made = _least(lambda: _json(PushWriter().whole(quiet, 1e4, accepts_still=True).to_json()))
    whole_read = _least(lambda: PushReader().read(parse_stats_push(json.loads(whole))))
    each = PUSHES_OF_NEWS / (PUSHES_OF_NEWS + 1)
    command = [sys.executable, "-m", "benchmarks.kubernetes_memory", str(services)]
    views = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return Growth(
        services=services,
        awake=awake / PERIOD,
        asleep=asleep / PERIOD,
        heard=heard,
        push_made=each * made + (1 - each) * whole_made,
        push_read=each * read + (1 - each) * whole_read,
        push_kilobytes=(each * len(text) + (1 - each) * len(whole)) / 1024,
        table_written=_table(services),
        view_mib=views["peak_mib"],
        view_seconds=views["first_view_seconds"],
        change_milliseconds=views["one_change_milliseconds"],
    )


def _table(services: int) -> float:
    table, text = RoutingTable("epoch"), RoutesText()
    hold = HoldBounds(1_000, 2**28, 600.0, 60.0)
    endpoints = tuple(Endpoint(f"pod-{k}", "10.0.0.1", 8012, 8022, EndpointState.READY) for k in range(3))
    for number in range(services):
        name = f"team-{number % 50}/model-{number}"
        table.put(Route(name, 10_000, endpoints, 10, hold, Timeouts(600.0, 0.0, 0.0), 12.5))
    text.of(table.routes())

    def one_change() -> None:
        first = table.routes().routes[0]
        table.put(replace(first, endpoints=first.endpoints[1:]))
        text.of(table.routes())

    return _least(one_change)


def _json(body: object) -> str:
    return json.dumps(body, separators=(",", ":"))


def _passes(fleet: Fleet) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        fleet.hear()
        best = min(best, _least(fleet.evaluate, 1))
    return best


def _least(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    best = float("inf")
    gc.collect()
    for _ in range(rounds):
        began = process_time()
        run()
        best = min(best, process_time() - began)
    return 1e3 * best
