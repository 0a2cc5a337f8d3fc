"""AIBrix's autoscaling runs: deepseek-llm-7b on V100s under vLLM 0.6.2, one load of 25 minutes, several autoscalers.

What is known of the experiment is taken as published (vllm-project/aibrix, benchmarks/autoscaling: targets, delays and
the engine's flags) or read from its logs once (time per token, cache). Only how long a replica takes to start was not
logged; that one number is fitted, on one run, and the other runs are predicted. (The deployment's readiness probe
begins 90 s after the container, in every revision of it: a fit far from that would be one to something else.)

Requests that failed are left out of measured latencies, and half of the longest answers failed: the clients' logs say
of some 310 in each run, however loaded it was, that the gateway broke off in the middle of the answer, which the engine
had finished. So latencies are compared request by request: over those that completed on the real cluster. The others
failed after 120 s, by the gateway's timeout; and the engines' logs show that those stayed in the engine, in its line or
its batch, long after: 87 in one engine while all clients together waited for 17. vLLM 0.6.2 does not abort what a
client has given up when there is any middleware, which --api-key is (vllm-project/vllm issue 10087).

How long an autoscaler had been running before the first request was not logged either. It shows: Knative-like ones and
the HPA keep what is there for minutes after they begin. So the time before the first request is what makes an idle
service lose its first pod when it was lost; where it was lost at once, none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulations.plant.observed import Observed
from simulations.plant.results import Outcome, Results
from simulations.policies.aibrix import AibrixKpa, AibrixKpaSettings, Apa, ApaSettings
from simulations.policies.hpa import Hpa, HpaSettings
from simulations.policies.interface import Order, Policy
from simulations.policies.metrics import PodMetric
from simulations.run import simulate
from simulations.scenario import (
    Clients,
    ContinuousBatching,
    MetricsPath,
    Scenario,
    ServiceSpec,
    StartDraws,
    constant,
)
from simulations.traces.measured_run import MeasuredRun
from simulations.traces.trace import Floats, Requests, digest_of

SERVICE = "deepseek-llm-7b-chat"
# Read from the runs' server logs, decoding only: 23.0 + 0.72·batch ms. Prompts: 13.8 GFLOP a token at some 55 % of a
# V100's 112 TFLOPS. Cache: 32 GB · 0.9 less 13 GB of weights and some 1.5 GB at work, at 480 KiB a token (30 layers ·
# 4096 · 2 · 2 bytes); it was seen to be full with a median of 31 running. vLLM takes at most 256 sequences.
ENGINE = ContinuousBatching(
    prefill=0.00022, alpha=0.0230, beta=0.00072, slots=256, kv_tokens=30_000, input_tokens=309, output_tokens=2048
)
LONGEST_ANSWER = 2048
CLIENT_TIMEOUT = 120.0
# Kubernetes' default grace; the pods' preStop hook waits for their requests until then.
GRACE_SECONDS = 30.0
# From an order to a running container, median of the pods' log; and to it being gone when it had no request.
SCHEDULE_SECONDS, STOP_SECONDS = 3.1, 4.4
# From an order to an engine that answers, by the autoscalers' logs: each time not yet after 50 s, and then after 60 s.
# That is before the pod is ready, as its probe waits.
ANSWER_SECONDS = 55.0
MOST_PODS = 10
# Fewer requests are simulated in less time than compiling takes; the results are the same.
_WORTH_COMPILING = 1000
# How long each keeps idle pods after it begins: panic, in which AIBrix's KPA begins, and its delay; the HPA's first
# turn, which has no metric yet, and its window.
_KEEPS_IDLE_PODS: Mapping[str, float] = {"kpa": 60.0 + 180.0, "hpa": 15.0 + 300.0}


class FidelityError(Exception):
    """A run that cannot be predicted: says which and why."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a run came to, measured or simulated. Latencies in seconds, of completed requests.

    mean_of_completed  over the requests that completed on the real cluster
    """

    completed: int
    failed: int
    mean: float
    mean_of_completed: float
    p50: float
    p95: float
    gpu_hours: float


@dataclass(frozen=True, slots=True)
class OfferedLoad:
    """The requests of a run as a trace, `lead` seconds after its beginning."""

    name: str
    arrival: Floats
    tokens: Floats
    lead: float
    length: float

    @property
    def services(self) -> tuple[str, ...]:
        """One."""
        return (SERVICE,)

    @property
    def span(self) -> float:
        """Lead included."""
        return self.lead + self.length

    @property
    def digest(self) -> str:
        """Of what is asked, and when."""
        return digest_of({"arrival": self.arrival.tolist(), "tokens": self.tokens.tolist(), "lead": self.lead})

    def chunks(self) -> Iterator[Requests]:
        """All in one."""
        count = len(self.arrival)
        yield Requests(
            self.arrival + self.lead,
            np.zeros(count, np.int32),
            np.full(count, -1, np.int32),
            self.tokens.astype(np.int32),
            np.full(count, np.nan),
        )


def autoscaler_of(run: MeasuredRun) -> str:
    """The last part of a run's name: kpa, apa, hpa, optimizer-kpa."""
    return run.name.rpartition("_")[2]


def make_policy(autoscaler: str) -> Policy:
    """As the experiment configured it. Raises FidelityError for one that is not known.

    The optimizer is not: it decides from profiles that were measured offline and are not published.
    """
    if autoscaler == "kpa":
        return AibrixKpa(AibrixKpaSettings(max_replicas=MOST_PODS, answers=ANSWER_SECONDS, scale_down_delay=180.0))
    if autoscaler == "apa":
        return Apa(ApaSettings(max_replicas=MOST_PODS, answers=ANSWER_SECONDS, window=30.0))
    if autoscaler == "hpa":
        # Its metric comes by way of Prometheus, whose operator scrapes every 30 s unless told otherwise.
        return Hpa(HpaSettings(max_replicas=MOST_PODS, metric=PodMetric.KV, target=0.5, scrape=30.0))
    raise FidelityError(f"{autoscaler}: what it decides by is not published; it can be replayed, not predicted")


def tokens_of(runs: Sequence[MeasuredRun]) -> Floats:
    """Tokens of each answer: the median of the runs in which it was whole; of one that never was, the longest.

    Raises FidelityError when the runs are not of the same load.
    """
    if len({len(run.sent) for run in runs}) != 1:
        raise FidelityError("the runs have different numbers of requests: they are not of one load")
    known = np.vstack([np.where(run.completed, run.output_tokens, np.nan) for run in runs])
    never = np.isnan(known).all(axis=0)
    return np.where(never, LONGEST_ANSWER, np.nanmedian(np.where(never, 0.0, known), axis=0))


def measured(run: MeasuredRun) -> Outcomes:
    """What was measured."""
    done = int(run.completed.sum())
    return Outcomes(
        done,
        len(run.sent) - done,
        run.mean_latency,
        run.mean_latency,
        run.latency_quantile(0.5),
        run.latency_quantile(0.95),
        run.replica_hours(),
    )


def lead_of(run: MeasuredRun) -> float:
    """Seconds for which the autoscaler had been running at the first request, as far as that shows."""
    keeps = _KEEPS_IDLE_PODS.get(autoscaler_of(run))
    fewer = np.flatnonzero(np.diff(run.running + run.pending) < 0)
    if keeps is None or not len(fewer) or run.running[0] <= 1:
        return 0.0
    return max(0.0, keeps + STOP_SECONDS - float(run.changed[fewer[0] + 1]))


class Replay:
    """Orders what a real autoscaler was seen to have: for what its rule is not known, and to try the plant alone.

    A pod that ends stays in the count for its grace, so a step down is ordered that much before it was seen.
    """

    urgent = False
    period = 1.0

    def __init__(self, run: MeasuredRun) -> None:
        """As the run's pods were counted."""
        self._at = run.changed
        self._pods = run.running + run.pending

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        now = int(np.searchsorted(self._at, observed.at, side="right")) - 1
        soon = int(np.searchsorted(self._at, observed.at + GRACE_SECONDS, side="right")) - 1
        return Order(int(self._pods[max(0, now) : max(0, soon) + 1].min()), idle_first=False)


def predict(run: MeasuredRun, tokens: Floats, start_seconds: float, *, replay: bool = False) -> Outcomes:
    """What the simulator says of this run's load; with its measured pods instead of its autoscaler's rule: `replay`.

    Raises FidelityError.
    """
    lead = 0.0 if replay else lead_of(run)
    policy = Replay(run) if replay else make_policy(autoscaler_of(run))
    load = OfferedLoad(run.name, run.sent, tokens, lead, float(run.changed[-1]))
    over = simulate(
        _scenario(run, start_seconds),
        load,
        [policy],
        warm_up=lead,
        keep_latencies=len(run.sent),
        compiled=None if len(run.sent) > _WORTH_COMPILING else False,
    )
    service = over.results.services[0]
    done = service.outcomes[Outcome.COMPLETED]
    latency = service.latency_warm + service.latency_cold
    before = _gpu_seconds(over.before) if over.before is not None else 0.0
    assert over.latencies is not None
    return Outcomes(
        done,
        service.requests - done,
        service.latency_sum / max(1, done),
        float(np.nanmean(over.latencies[run.completed])),
        latency.quantile(0.5),
        latency.quantile(0.95),
        (_gpu_seconds(over.results) - before) / 3600.0,
    )


def fitted_start(run: MeasuredRun, tokens: Floats) -> float:
    """The start-up time, in whole seconds from 10 to 180, whose mean latency, over the requests that completed, is
    nearest to the measured one: by fives, then by ones around the best."""
    aim = run.mean_latency

    def error(seconds: int) -> float:
        return abs(predict(run, tokens, float(seconds)).mean_of_completed - aim)

    best = min(range(10, 185, 5), key=error)
    return float(min(range(best - 4, best + 5), key=error))


def _scenario(run: MeasuredRun, start_seconds: float) -> Scenario:
    spec = ServiceSpec(
        SERVICE,
        ENGINE,
        StartDraws("start", schedule=constant(SCHEDULE_SECONDS), engine=constant(start_seconds)),
        clients=Clients(timeout=CLIENT_TIMEOUT),
        abort_on_disconnect=False,
        drain_seconds=GRACE_SECONDS,
        stop_seconds=STOP_SECONDS,
        initial=max(1, int(run.running[0])),
    )
    return Scenario((spec,), metrics=MetricsPath(delay=0.5))


def _gpu_seconds(results: Results) -> float:
    return sum(results.services[0].gpu_seconds.values())
