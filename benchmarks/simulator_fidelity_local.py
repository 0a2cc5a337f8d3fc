"""How near the simulator comes to the real thing: one load through `pilotlight up` and through the simulator.

    python -m benchmarks.simulator_fidelity_local [--seeds N]

Real processes, proxies and controller; a model of known service time; two wakes and a burst. What a simulation has to
be told is taken from the run itself: when each request was sent, by which policy was decided and when, how long each
start and each stop took and how long a request was worked on. What is compared is what follows from that: how long
requests took, how many of them waited for a wake, and what replicas cost. Exit status 1 where that is further off than
the aims; a machine with other work does not meet them, because a simulation is not told of that.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

from autoscaler.decide.decision import Reason
from autoscaler.decide.records import DecisionRecord, ReadingsRecord, Record, StartRecord, parse_record
from autoscaler.policy.scaling_policy import ScalingPolicy
from simulations.policies.pilotlight import EVALUATION_SECONDS, pilotlight
from simulations.run import Run, simulate
from simulations.scenario import DrawnSeconds, Scenario, ServiceSpec, Shape, StartDraws
from simulations.traces.trace import Requests
from tests.integration.main_job.harness import Up, running_up, wait_for

SERVICE = "default/measured"
LIMIT = 2
SERVICE_SECONDS = 0.5
LOAD_SECONDS = 1.0
SPAN = 34.0
_LOOK_SECONDS = 0.1
_INPUT = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}]}


def planned() -> list[float]:
    """When requests are sent, in seconds after a turn of the controller: a wake by two, which takes one replica; a
    steady load, and in it a burst that takes three, just after a turn, so that the next one sees a whole second of it
    however late it is told; sleep; and a wake by ten.
    """
    wake = [0.5, 0.6]
    steady = [4.2 + 0.5 * k for k in range(12)]
    burst = [6.1 + 0.02 * k for k in range(14)]
    again = [25.0 + 0.05 * k for k in range(10)]
    after = [30.0 + 0.5 * k for k in range(6)]
    return sorted([*wake, *steady, *burst, *again, *after])


@dataclass(frozen=True, slots=True)
class Measured:
    """What is compared. `latencies`, in seconds, in the order in which requests were sent; `cold`: requests that
    waited for a wake."""

    latencies: tuple[float, ...]
    replica_seconds: float
    cold: int

    @property
    def p50(self) -> float:
        """The median latency, seconds."""
        return quantile(self.latencies, 0.5)

    @property
    def p95(self) -> float:
        """What 19 of 20 requests take at most, seconds."""
        return quantile(self.latencies, 0.95)


@dataclass(frozen=True, slots=True)
class RealRun:
    """One run of the real thing. Times are seconds since its origin, which is a turn of its controller.

    sent       when each request was sent
    starts     how long each replica took from being created to being ready, in the order in which they were
    order_seconds  from a decision that wakes to the replica being there
    stop_seconds   from a decision that lets a service sleep to its replica being gone
    service_seconds  that a replica worked on a request, in the mean
    end        until when replicas are counted
    stall      by how many seconds this machine delayed, at most, a request for which there was a place at once
    """

    sent: tuple[float, ...]
    starts: tuple[float, ...]
    order_seconds: float
    stop_seconds: float
    service_seconds: float
    policy: ScalingPolicy
    end: float
    stall: float
    measured: Measured
    recording: Path


@dataclass(slots=True)
class _Replica:
    created: float
    ready: float | None
    gone: float


def run_for_real(folder: Path) -> RealRun:
    """Run the load against `pilotlight up`."""
    recording = folder / "run.jsonl"
    with running_up(folder, [service()], "--record", str(recording)) as up:
        wait_for("the first decision", lambda: up.service(SERVICE).get("phase") == "asleep")
        watcher = _Watcher(up)
        try:
            sent = asyncio.run(_send(up.ports[SERVICE], began := _next_turn(recording)))
            ended = time.time()
        finally:
            watcher.stop()
        explained = up.get(f"/explain/{SERVICE}")
    assert isinstance(explained, dict)
    records = [parse_record(line) for line in recording.read_text().splitlines()]
    origin = _turn_before(records, began)
    service_seconds = [r.observation.service_seconds for r in records if isinstance(r, ReadingsRecord)]
    replicas = sorted(watcher.replicas.values(), key=lambda replica: replica.created)
    wakes = [wake for wake in explained["wakes"] if wake["ready_at"] is not None]
    ready_times = [wake["ready_at"] for wake in wakes]
    return RealRun(
        sent=tuple(at - origin for at, _ in sent),
        starts=tuple(replica.ready - replica.created for replica in replicas if replica.ready is not None),
        order_seconds=statistics.mean(wake["started_at"] - wake["decided_at"] for wake in wakes),
        stop_seconds=_stop_seconds(records, [replica.gone for replica in replicas]),
        service_seconds=next(seconds for seconds in reversed(service_seconds) if seconds is not None),
        policy=next(record.policy for record in records if isinstance(record, StartRecord)),
        end=ended - origin,
        measured=Measured(
            latencies=tuple(latency for _, latency in sent),
            replica_seconds=sum(min(replica.gone, ended) - replica.created for replica in replicas),
            cold=sum(_waited(each, ready_times) for each in sent),
        ),
        stall=max(
            abs(each[1] - SERVICE_SECONDS)
            for each in sent
            if not _waited(each, ready_times) and sum(_overlaps(each, other) for other in sent) <= LIMIT
        ),
        recording=recording,
    )


def simulated(real: RealRun, seeds: Sequence[int]) -> list[Measured]:
    """The same load in the simulator, once for each seed."""
    start = StartDraws(
        "as measured", schedule=np.array([real.order_seconds]), engine=np.array(real.starts), in_order=True
    )
    model = DrawnSeconds(real.service_seconds, Shape.CONSTANT, 0.0)
    spec = ServiceSpec(SERVICE, model, start, limit=LIMIT, stop_seconds=real.stop_seconds)
    trace, count = Sent(real.sent, real.end), len(real.sent)
    runs = (
        simulate(Scenario((spec,), seed=seed), trace, pilotlight(real.policy), keep_latencies=count, compiled=False)
        for seed in seeds
    )
    return [_measured(run) for run in runs]


@dataclass(frozen=True, slots=True)
class Sent:
    """A trace of what was sent."""

    at: tuple[float, ...]
    span: float

    def chunks(self) -> Iterator[Requests]:
        """See Trace."""
        count = len(self.at)
        unknown = np.full(count, -1, np.int32)
        yield Requests(np.array(self.at), np.zeros(count, np.int32), unknown, unknown, np.full(count, math.nan))


def _measured(run: Run) -> Measured:
    service = run.results.services[0]
    assert run.latencies is not None
    return Measured(tuple(run.latencies.tolist()), sum(service.gpu_seconds.values()), service.cold)


async def _send(port: int, began: float) -> list[tuple[float, float]]:
    """Send what is planned; returns of each request when it was sent and how long it took."""
    url = f"http://127.0.0.1:{port}/v2/models/example/infer"
    sent: list[tuple[float, float]] = []

    async def one(session: aiohttp.ClientSession, at: float) -> None:
        await asyncio.sleep(began + at - time.time())
        before = time.time()
        async with session.post(url, json=_INPUT) as answer:
            await answer.read()
            if answer.status != 200:
                raise SystemExit(f"a request was answered with {answer.status}: {await answer.text()}")
        sent.append((before, time.time() - before))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session, at) for at in planned()), asyncio.sleep(began + SPAN - time.time()))
    return sorted(sent)


class _Watcher:
    """Looks at the replicas from outside, as long as the load runs."""

    def __init__(self, up: Up) -> None:
        self.replicas: dict[str, _Replica] = {}
        self._up = up
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            body = self._up.get(f"/explain/{SERVICE}")
            now = time.time()
            for seen in body["replicas"] if isinstance(body, dict) else []:
                known = self.replicas.setdefault(seen["name"], _Replica(seen["created_at"], None, now))
                known.ready = known.ready or seen["ready_at"]
                known.gone = now


def _waited(request: tuple[float, float], ready_times: Sequence[float]) -> bool:
    at, latency = request
    return any(at <= ready < at + latency for ready in ready_times)


def _overlaps(request: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether the other one was there as this one came; each was there as it came itself."""
    return other[0] <= request[0] < other[0] + other[1]


def _next_turn(recording: Path) -> float:
    """When the controller decides next by its own clock, and a little more."""
    *_, last = (parse_record(line) for line in recording.read_text().splitlines()[-2:])
    assert isinstance(last, DecisionRecord)
    turns = math.ceil((time.time() - last.decision.at) / EVALUATION_SECONDS)
    return last.decision.at + turns * EVALUATION_SECONDS + 0.05


def _turn_before(records: Sequence[Record], at: float) -> float:
    """When the controller last decided by its own clock before this moment, as a multiple of its period before."""
    return max(r.observation.at for r in records if isinstance(r, ReadingsRecord) and r.observation.at < at)


def _stop_seconds(records: Sequence[Record], gone: Sequence[float]) -> float:
    """From the decision for zero to the last replica being gone: of an idle one, so nothing is in it but the stop."""
    asleep = [
        record.decision.at
        for record in records
        if isinstance(record, DecisionRecord) and record.decision.reason is Reason.SLEEP
    ]
    if not asleep:
        raise SystemExit("the service never went to sleep: this machine is too busy, or something is wrong")
    return statistics.mean(min(at - decided for at in gone if at > decided) for decided in asleep)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of them do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def service() -> dict[str, object]:
    """The InferenceService that both runs are of."""
    model = [
        *("--port=$(PORT)", "--protocol=oip", f"--load-seconds={LOAD_SECONDS}"),
        f"--service-seconds={SERVICE_SECONDS}",
    ]
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": SERVICE.partition("/")[2],
            "namespace": "default",
            "annotations": {
                "serving.kserve.io/autoscalerClass": "external",
                "serving.kserve.io/deploymentMode": "Standard",
                "pilotlight.dev/scaling": "on",
                "pilotlight.dev/stable-window": "6s",
                "pilotlight.dev/scale-to-zero-grace-period": "1s",
                "pilotlight.dev/backlog-drain-objective": "2s",
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": 0,
                "maxReplicas": 3,
                "containerConcurrency": LIMIT,
                "containers": [
                    {
                        "name": "kserve-container",
                        "image": "example.com/example-server:1",
                        "command": [sys.executable, "-m", "pilotlight.example_server"],
                        "args": model,
                        "ports": [{"containerPort": 8080}],
                        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}},
                    }
                ],
            }
        },
    }


def main() -> int:
    """Run both and print them side by side; 1 when an aim is missed."""
    parser = argparse.ArgumentParser(description="The same load for real and simulated.")
    parser.add_argument("--seeds", type=int, default=10, help="runs of the simulator (%(default)s)")
    seeds = range(parser.parse_args().seeds)
    with tempfile.TemporaryDirectory(prefix="pilotlight-fidelity-") as name:
        real = run_for_real(Path(name))
        runs = simulated(real, seeds)
    print(f"{len(real.sent)} requests, starts of {', '.join(f'{seconds:.2f}' for seconds in real.starts)} s")
    print(f"a request is worked on for {real.service_seconds:.3f} s; an order takes {real.order_seconds * 1e3:.0f} ms")
    print(f"an idle replica is gone {real.stop_seconds:.2f} s after it is not wanted")
    print(f"{'':20}{'real':>10}{'simulated':>12}{'difference':>12}{'aim':>8}")
    missed = 0
    for title, figure, aim in (
        ("p50, s", "p50", 0.10),
        ("p95, s", "p95", 0.10),
        ("replica-seconds", "replica_seconds", 0.10),
        ("waited for a wake", "cold", 0.05),
    ):
        ours, theirs = statistics.mean(getattr(run, figure) for run in runs), getattr(real.measured, figure)
        off = ours / theirs - 1.0
        missed += abs(off) > aim
        print(f"{title:20}{theirs:10.3f}{ours:12.3f}{off:+12.1%}{aim:8.0%}{'  MISSED' if abs(off) > aim else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
