"""Laws over random worlds: both cores agree to the bit, nothing is lost, all that is paid is accounted for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from activator.messages import HoldBounds
from simulations.plant.results import Outcome
from simulations.policies.interface import Policy
from simulations.run import Run, simulate
from simulations.scenario import (
    Clients,
    ClusterSpec,
    ContinuousBatching,
    DrawnSeconds,
    MeasuredSeconds,
    MetricsPath,
    Objective,
    Scenario,
    ServiceModel,
    ServiceSpec,
    StartDraws,
    constant,
)
from tests.unit.simulations.plant.plant_worlds import Arrivals, OnDemand, Script, plain, run

MODELS: list[ServiceModel] = [
    MeasuredSeconds(),
    MeasuredSeconds(slots=2),
    DrawnSeconds(3.0),
    ContinuousBatching(prefill=0.002, alpha=0.02, beta=0.005, slots=4),
    ContinuousBatching(prefill=0.0, alpha=0.05, beta=0.0, slots=8, kv_tokens=900),
]
FAST = StartDraws("fast", engine=np.linspace(0.5, 8.0, 50))
HARD = StartDraws(
    "hard",
    schedule=constant(1.0),
    node=constant(30.0),
    image=np.linspace(2.0, 20.0, 20),
    runtime=constant(2.0),
    weights=np.linspace(3.0, 30.0, 20),
    engine=constant(4.0),
    failure=0.3,
    backoff=5.0,
)


@st.composite
def specs(draw: st.DrawFn, name: str) -> ServiceSpec:
    heeds = draw(st.booleans())
    clients = Clients(draw(st.sampled_from([0.0, 3.0, 25.0])), draw(st.integers(0, 3)), 0.5, heeds)
    bounds = HoldBounds(draw(st.sampled_from([2, 1000])), 0, draw(st.sampled_from([0.0, 20.0])), 15.0)
    return ServiceSpec(
        name,
        draw(st.sampled_from(MODELS)),
        draw(st.sampled_from([FAST, HARD])),
        limit=draw(st.sampled_from([0, 1, 3])),
        gpus=draw(st.integers(1, 2)),
        clients=clients,
        hold=bounds,
        queue_requests=draw(st.sampled_from([0, 2])),
        queue_seconds=draw(st.sampled_from([0.0, 2.0])),
        abort_on_disconnect=draw(st.booleans()),
        objective=Objective(latency=5.0),
        drain_seconds=draw(st.sampled_from([0.0, 4.0])),
        stop_seconds=draw(st.sampled_from([0.0, 3.0])),
        reclaims=draw(st.sampled_from([0.0, 60.0])),
        reclaim_notice=draw(st.sampled_from([0.0, 5.0])),
        initial=draw(st.integers(0, 2)),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Scenario, Arrivals, list[int]]:
    count = draw(st.integers(1, 3))
    cluster = draw(
        st.sampled_from(
            [
                ClusterSpec(),
                ClusterSpec.of_gpus(4),
                ClusterSpec(2, 1, 3, 20.0, caches_warm=False, image_streams=1.0, weight_streams=1.5),
            ]
        )
    )
    metrics = MetricsPath(
        draw(st.sampled_from([0.0, 0.5, 7.0])),
        draw(st.sampled_from([0.0, 0.3])),
        scrape_at=draw(st.sampled_from([0.0, 0.3, None])),
        push_at=draw(st.sampled_from([0.0, 0.7])),
    )
    services = tuple(draw(specs(f"s{i}")) for i in range(count))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    requests = draw(st.integers(0, 250))
    at = np.sort(
        np.concatenate([random.uniform(0, 200, requests), np.full(draw(st.sampled_from([0, 7, 40, 200])), 50.0)])
    )
    trace = Arrivals(
        at,  # type: ignore[arg-type]
        random.exponential(1.0, len(at)),  # type: ignore[arg-type]
        random.integers(0, count, len(at)),  # type: ignore[arg-type]
        random.integers(1, 300, (len(at), 2)),  # type: ignore[arg-type]
        span=260.0,
        rows=draw(st.sampled_from([7, 65_536])),
    )
    return (
        Scenario(services, cluster, draw(st.integers(0, 5)), metrics),
        trace,
        draw(st.lists(st.integers(0, 6), min_size=1, max_size=8)),
    )


def carry_out(world: tuple[Scenario, Arrivals, list[int]], *, compiled: bool) -> Run:
    scenario, trace, orders = world
    policies: list[Policy] = []
    for s in range(len(scenario.services)):
        if s == 1:
            policies.append(OnDemand(keep=20.0, most=4))
        else:
            script = [(30.0 * i + s, replicas) for i, replicas in enumerate(orders)]
            policies.append(Script(*script, period=1.5, urgent=s == 2, in_path=s != 2))
    return simulate(scenario, trace, policies, compiled=compiled)


@settings(max_examples=30, deadline=None)
@given(worlds())
def test_the_plain_and_the_compiled_core_agree_to_the_bit(world: tuple[Scenario, Arrivals, list[int]]) -> None:
    pytest.importorskip("numba")
    assert plain(carry_out(world, compiled=False).results) == plain(carry_out(world, compiled=True).results)


@settings(max_examples=30, deadline=None)
@given(worlds())
def test_every_request_ends_once_and_every_gpu_second_is_accounted_for(
    world: tuple[Scenario, Arrivals, list[int]],
) -> None:
    scenario, trace, _ = world
    over = carry_out(world, compiled=False).results
    assert sum(results.requests for results in over.services) == len(trace.at)
    paid = 0.0
    for spec, results in zip(scenario.services, over.services, strict=True):
        assert min(results.outcomes.values()) >= 0
        assert sum(results.outcomes.values()) == results.requests
        completed = results.outcomes[Outcome.COMPLETED]
        assert results.latency_warm.total + results.latency_cold.total == completed
        assert results.ttft_warm.total + results.ttft_cold.total == completed
        assert results.requests <= results.attempts <= results.requests * (1 + spec.clients.retries)
        assert int(results.timeline.arrived.sum()) == results.requests
        assert int(results.timeline.ended.sum()) == results.requests - results.outcomes[Outcome.UNFINISHED]
        assert int((results.timeline.ended - results.timeline.missed).sum()) == results.good
        assert min(results.gpu_seconds.values()) >= -1e-6
        paid += sum(results.gpu_seconds.values())
        line = results.timeline
        present = float((line.ready + line.starting + line.draining).sum()) * line.width
        assert sum(results.gpu_seconds.values()) <= present * spec.gpus + 1e-6
    if scenario.cluster.gpus_per_node:
        assert paid <= over.node_gpu_seconds + 1e-6
        assert over.most_gpus <= scenario.cluster.gpus_per_node * max(
            scenario.cluster.nodes, scenario.cluster.most_nodes
        )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.0, 150.0), max_size=60), st.floats(0.0, 0.6), st.sampled_from([0.0, 0.5, 3.0]))
def test_samples_tell_all_load_once_however_many_scrapes_are_lost(
    arrivals: list[float], loss: float, delay: float
) -> None:
    policy = OnDemand(keep=500.0, most=3)
    policy.urgent = False
    trace = Arrivals(sorted(arrivals), [2.0] * len(arrivals), span=600.0)
    results, _ = run(trace, policy, metrics=MetricsPath(delay, loss), limit=1)
    samples = [sample for observed in policy.seen for sample in observed.samples]
    assert sum(sample.rps for sample in samples) == results.attempts
    assert sum(sample.concurrency for sample in samples) == pytest.approx(results.latency_sum)
    assert sum(sample.waiting for sample in samples) == pytest.approx(results.wait_seconds)


@settings(max_examples=20, deadline=None)
@example([68.0, 105.0], 3.0)  # the second is not told yet when its replica is gone, and nobody is left to be asked for
@given(st.lists(st.floats(0.0, 150.0), max_size=60), st.sampled_from([0.0, 0.5, 3.0]))
def test_what_waits_counts_a_whole_second_when_it_is_announced(arrivals: list[float], delay: float) -> None:
    policy = OnDemand(keep=20.0)
    trace = Arrivals(sorted(arrivals), [2.0] * len(arrivals), span=600.0)
    results, _ = run(trace, policy, metrics=MetricsPath(delay), limit=1)
    samples = [sample for observed in policy.seen for sample in observed.samples]
    assert sum(sample.rps for sample in samples) == results.attempts
    announced = sum(observed.held for observed in policy.seen if observed.urgent)
    beyond = sum(sample.concurrency for sample in samples) - results.latency_sum
    assert -1e-6 <= beyond <= announced + 1e-6


def test_the_same_run_again_gives_the_same_bits_and_another_seed_others() -> None:
    trace = Arrivals(list(np.linspace(0.0, 900.0, 500)))
    runs = [
        plain(
            simulate(
                Scenario((ServiceSpec("a", DrawnSeconds(2.0), FAST),), seed=seed), trace, [OnDemand(most=5)]
            ).results
        )
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
