"""What deciding costs: time of one decision, of one evaluation with all around it, and memory of one service.

    python -m benchmarks.decide [--services N]

Times are processor time, the best of several rounds, so that what else the machine does does not count. A pass is one
evaluation of every service, due every two seconds; so milliseconds a pass divided by 2000 is the share of a core.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from collections.abc import Callable
from time import process_time

from autoscaler.cluster.interface import Replica, ReplicaPhase, ServiceView
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.settings import Cadence
from autoscaler.decide.decider import Decider
from autoscaler.policy.scaling_policy import Aggregation, Improvements, ScalingPolicy
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing
from queue_proxy.messages import Stats

START = 1_700_000_000.0
ROUNDS = 5

POLICIES = {
    "ours": ScalingPolicy(target=10.0, container_concurrency=10),
    "ours, weighted windows of 10 min": ScalingPolicy(
        target=10.0, stable_window_seconds=600.0, aggregation=Aggregation.WEIGHTED_EXPONENTIAL
    ),
    "in Knative's terms": ScalingPolicy(
        initial_scale=1,
        scale_down_delay_seconds=0.0,
        improvements=Improvements(
            starting_replicas_count=False, backlog_sizing=False, one_before_zero=False, throughput_floor=False
        ),
    ),
}


def step_microseconds(policy: ScalingPolicy, steps: int = 2_000) -> float:
    """Of one `Decider.step` on two new seconds of a load that changes."""
    nothing = Missing("no engine reports it")
    seen = []
    for number in range(steps):
        at, load = START + 2.0 * number, 15.0 + number % 7
        seen.append(
            Observation(
                at=at,
                samples=tuple(Sample(int(at) - 2 + k, load, load / 2, 0.0) for k in (0, 1)),
                in_flight=Known(load),
                held=Known(0.0),
                queued=Known(0.0),
                engine_running=nothing,
                engine_waiting=nothing,
                kv_cache_usage=nothing,
                replicas=ReplicaCounts(wanted=3, ready=3),
                service_seconds=2.0,
                wake_seconds=60.0,
                activator_confirmed=True,
                ever_ready=True,
            )
        )

    def fold() -> None:
        decider = Decider("default/chat", policy)
        for observation in seen:
            decider.step(observation)

    return _best(fold) / steps * 1e6


class Fleet:
    """So many services, as the controller has them, each with `replicas` ready ones."""

    def __init__(self, services: int, replicas: int, load: int) -> None:
        self.at = 0.0
        self._load = load
        self._controls = [_control(f"default/model-{number}", replicas) for number in range(services)]

    def hear(self, seconds: int = 2) -> None:
        """Every source tells once a second."""
        for _ in range(seconds):
            self.at += 1.0
            for control in self._controls:
                for replica in control.view.replicas:
                    control.scraped(replica.name, self._stats(replica.name, self._load), START + self.at)
                control.pushed("main", self._stats("activator/main", 0), START + self.at, urgent=False)

    def evaluate(self) -> None:
        """One pass."""
        for control in self._controls:
            control.evaluate(START + self.at + 0.01)

    def change_load(self, load: int) -> None:
        self._load = load

    def _stats(self, source: str, running: int) -> Stats:
        completed = int(self.at) * running
        return Stats(
            source, "epoch", self.at, busy_seconds=running * self.at, arrived=completed, completed=completed,
            service_seconds=float(completed), running=running,
        )  # fmt: skip


def _control(service: str, replicas: int) -> ServiceControl:
    namespace, name = service.split("/")
    isvc = {
        "metadata": {"namespace": namespace, "name": name, "annotations": {"pilotlight.dev/scaling": "on"}},
        "spec": {"predictor": {"minReplicas": 0}},
    }
    listed = tuple(
        Replica(f"{name}-{number}", ReplicaPhase.READY, START, "127.0.0.1", 8_000, 9_000, START + 1.0)
        for number in range(replicas)
    )
    view = ServiceView(service, isvc, 1, replicas, listed, True, 8_081, ever_ready=True)
    control = ServiceControl(view, Cadence(), START)
    control.viewed(view, START)
    return control


def pass_milliseconds(services: int, replicas: int) -> float:
    """Of evaluating every service once."""
    fleet = Fleet(services, replicas, load=3)
    best = float("inf")
    for _ in range(ROUNDS + 3):
        fleet.hear()
        best = min(best, _best(fleet.evaluate, rounds=1))
    return best * 1e3


def kilobytes(replicas: int, services: int = 20) -> float:
    """What one service takes when all that is kept of it is full: its load changes with every evaluation."""
    gc.collect()
    tracemalloc.start()
    fleet = Fleet(services, replicas, load=3)
    for number in range(300):
        fleet.change_load(60 * (number % 2))
        fleet.hear()
        fleet.evaluate()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / services / 1024


def _best(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = process_time()
        run()
        best = min(best, process_time() - began)
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=1_000, metavar="N", help="in one pass (%(default)s)")
    services = parser.parse_args().services
    rows = [(f"Decider.step, {name}", f"{step_microseconds(policy):.1f} µs") for name, policy in POLICIES.items()]
    for name, replicas in (("asleep", 0), ("two ready replicas", 2), ("twenty ready replicas", 20)):
        took = pass_milliseconds(services, replicas)
        rows.append((f"a pass over {services} services, {name}", f"{took:.1f} ms, {services / took * 1e3:.0f}/s"))
    for name, replicas in (("asleep", 0), ("two ready replicas", 2)):
        rows.append((f"memory of one service, {name}, its history full", f"{kilobytes(replicas):.0f} KiB"))
    width = max(len(what) for what, _ in rows)
    for what, figure in rows:
        print(f"{what.ljust(width)}  {figure}")


if __name__ == "__main__":
    main()
