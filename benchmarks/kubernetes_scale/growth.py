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
from dataclasses import dataclass
from time import process_time

from activator.messages import StatsPush, parse_stats_push
from benchmarks.decide import Fleet
from benchmarks.kubernetes_scale.replicas import stats
from queue_proxy.messages import Stats, parse_stats

PERIOD = 2.0  # of evaluations; scrapes and pushes come every second
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Growth:
    """Milliseconds of processor time for each second of control, unless something else is said.

    awake, asleep      deciding on all services, with three replicas each and with none
    heard              taking in what their replicas say, read from JSON; connections apart
    push_made, push_read  one activator's second: made by it, and read and taken in by the controller
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
    made = _least(lambda: json.dumps(StatsPush(False, quiet).to_json(), separators=(",", ":")))
    text = json.dumps(StatsPush(False, quiet).to_json(), separators=(",", ":"))
    read = _least(lambda: parse_stats_push(json.loads(text)))
    command = [sys.executable, "-m", "benchmarks.kubernetes_memory", str(services)]
    views = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return Growth(
        services=services,
        awake=awake / PERIOD,
        asleep=asleep / PERIOD,
        heard=heard,
        push_made=made,
        push_read=read,
        push_kilobytes=len(text) / 1024,
        view_mib=views["peak_mib"],
        view_seconds=views["first_view_seconds"],
        change_milliseconds=views["one_change_milliseconds"],
    )


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
