"""A run of the real thing to hold a simulation against: one load through `pilotlight up`, and what it told of itself.

Real processes, proxies and controller; a model of known service time; two wakes and a burst.
"""

from __future__ import annotations

import asyncio
import cmath
import math
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp

from autoscaler.decide.decision import Reason
from autoscaler.decide.records import DecisionRecord, ReadingsRecord, Record, StartRecord, parse_record
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known
from simulations.policies.pilotlight import EVALUATION_SECONDS
from tests.integration.main_job.harness import Up, running_up, wait_for

SERVICE = "default/measured"
LIMIT = 2
SERVICE_SECONDS = 0.5
LOAD_SECONDS = 1.0
# The first wake, by two, takes one replica. Where in a second the controller decides shows only when it is awake.
FIRST_WAKE = (0.0, 0.1)
# So long nothing comes before that: the windows hold silence then, as those of the simulator do.
QUIET_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_LEAST_WAIT = 0.05
_TURN_IS_LATE_BY_AT_MOST = 0.1
_INPUT = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}]}


def planned(steady_seconds: float) -> list[float]:
    """When requests are sent after that, in seconds after a turn of the controller: a steady load, and in it a burst,
    just after a turn, so that the next one sees a whole second of it however late it is told; sleep; a wake by many;
    and the steady load for half as long. Burst and wake take both replicas however many of their requests are
    told of at which turn: near a step, one that is told a turn later is a replica for minutes.
    """
    steady = [0.2 + 0.5 * k for k in range(int(2.0 * steady_seconds))]
    burst = [2.1 + 0.01 * k for k in range(40)]
    again = [steady_seconds + 23.0 + 0.02 * k for k in range(40)]
    after = [steady_seconds + 30.0 + 0.5 * k for k in range(int(steady_seconds))]
    return sorted([*steady, *burst, *again, *after])


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
    """One run of the real thing. Times are seconds since its origin, which is a whole second of its clock.

    first_turn  when its controller decides by its own clock, the first time after the origin
    push_at    in which part of a second activators push
    sent       when each request was sent
    starts     how long each replica took from being created to being ready, in the order in which they were
    order_seconds  from a decision that wakes to the replica being there
    stop_seconds   from a decision that lets a service sleep to its replica being gone
    service_seconds  that a replica worked on a request, in the mean
    end        until when replicas are counted
    stall      by how many seconds this machine delayed, at most, a request for which there was a place at once
    """

    first_turn: float
    push_at: float
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


def run_for_real(folder: Path, steady_seconds: float) -> RealRun:
    """Run the load against `pilotlight up`."""
    recording = folder / "run.jsonl"
    with running_up(folder, [service()], "--record", str(recording)) as up:
        wait_for("the first decision", lambda: up.service(SERVICE).get("phase") == "asleep")
        time.sleep(QUIET_SECONDS)
        watcher = _Watcher(up)
        try:
            sent = asyncio.run(_send(up.ports[SERVICE], recording, planned(steady_seconds)))
            ended = time.time()
        finally:
            watcher.stop()
        explained = up.get(f"/explain/{SERVICE}")
    assert isinstance(explained, dict)
    records = [parse_record(line) for line in recording.read_text().splitlines()]
    readings = [record.observation for record in records if isinstance(record, ReadingsRecord)]
    turns = _turns(readings)
    origin = math.floor(sent[0][0]) - QUIET_SECONDS
    service_seconds = [observation.service_seconds for observation in readings]
    replicas = sorted(watcher.replicas.values(), key=lambda replica: replica.created)
    wakes = [wake for wake in explained["wakes"] if wake["ready_at"] is not None]
    ready_times = [wake["ready_at"] for wake in wakes]
    return RealRun(
        first_turn=(turns[0].at - origin) % EVALUATION_SECONDS,
        push_at=_push_at(turns),
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


async def _send(port: int, recording: Path, plan: Sequence[float]) -> list[tuple[float, float]]:
    """Send what is planned, and look on for a while; returns of each request when it was sent and how long it took."""
    url = f"http://127.0.0.1:{port}/v2/models/example/infer"
    sent: list[tuple[float, float]] = []

    async def one(session: aiohttp.ClientSession, at: float) -> None:
        await asyncio.sleep(at - time.time())
        before = time.time()
        async with session.post(url, json=_INPUT) as answer:
            await answer.read()
            if answer.status != 200:
                raise SystemExit(f"a request was answered with {answer.status}: {await answer.text()}")
        sent.append((before, time.time() - before))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        now = time.time()
        wake = asyncio.gather(*(one(session, now + at) for at in FIRST_WAKE))
        began = await _next_turn(recording)
        await asyncio.gather(wake, *(one(session, began + at) for at in plan))
        await asyncio.sleep(began + plan[-1] + 1.5 - time.time())
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


async def _next_turn(recording: Path) -> float:
    """When the controller decides next by its own clock, once it does so on a replica that is ready."""
    while True:
        records = map(parse_record, recording.read_text().splitlines())
        turns = _turns([record.observation for record in records if isinstance(record, ReadingsRecord)])
        if turns and turns[-1].replicas.ready:
            passed = math.ceil((time.time() + _LEAST_WAIT - turns[-1].at) / EVALUATION_SECONDS)
            return turns[-1].at + passed * EVALUATION_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)


def _turns(readings: Sequence[Observation]) -> list[Observation]:
    """What it decided on by its own clock: a period after what it decided on before. At once after a request, or when
    it begins, it does so at any time."""
    return [
        turn
        for before, turn in pairwise(readings)
        if abs(turn.at - before.at - EVALUATION_SECONDS) < _TURN_IS_LATE_BY_AT_MOST
    ]


def _push_at(turns: Sequence[Observation]) -> float:
    """From how old what was told by activators was while they had nothing urgent to tell. It is later by a millisecond
    or two each second."""
    held = [(turn.at, turn.held) for turn in turns if turn.replicas.ready]
    around = sum(cmath.exp(2j * math.pi * (at - last.age)) for at, last in held if isinstance(last, Known))
    return cmath.phase(around) / (2.0 * math.pi) % 1.0


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
                # No multiples of the two seconds between two turns: whether such a time is over at a turn would be
                # decided by a millisecond, and the two runs would take different steps by chance.
                "pilotlight.dev/stable-window": "7s",
                "pilotlight.dev/scale-to-zero-grace-period": "1s",
                "pilotlight.dev/backlog-drain-objective": "3s",
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": 0,
                "maxReplicas": 2,
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
