"""Laws: bounds are kept by everybody whatever is told, and more load never asks for fewer where the formula says so."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoscaler.signals.observation import Sample
from simulations.policies.aibrix import ApaSettings, apa
from simulations.policies.hpa import of_total, per_pod
from simulations.policies.hpa_behavior import Behavior, BehaviorSettings
from simulations.policies.llmd import SloLawSettings, WvaSettings, saturation, slo_law
from simulations.policies.metrics import Scraped
from simulations.policies.ray_serve import RayServeSettings, ray_serve
from simulations.policies.registry import POLICIES, named_policy
from simulations.scenario import Scenario
from tests.unit.simulations.policies.policy_observations import observed, service

LOADS = st.floats(0.0, 500.0)
COUNTS = st.integers(1, 50)
BOUNDED = [name for name in POLICIES if name not in ("fixed", "peak")]


@pytest.mark.parametrize("name", BOUNDED)
@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(LOADS, LOADS, st.floats(0.0, 1.0), st.integers(0, 9)), min_size=3, max_size=40))
def test_bounds_are_kept_whatever_is_told(name: str, told: list[tuple[float, float, float, int]]) -> None:
    spec = service(limit=4, llm=True)
    policy = named_policy(f"{name}:min-replicas=2,max-replicas=7").make(spec, Scenario((spec,)))
    wanted, at = 2, 0.0
    for load, held, share, ready in told:
        ready = min(ready, wanted)
        order = policy.step(
            observed(
                at,
                ready=ready,
                starting=wanted - ready,
                in_flight=load,
                held=held,
                queued=load / 2,
                running=load / 2,
                kv=share,
                utilization=share,
                samples=(Sample(int(at), load + held, load, held),),
            )
        )
        assert 2 <= order.replicas <= 7
        wanted, at = order.replicas, at + policy.period


@given(COUNTS, LOADS, LOADS)
def test_more_load_never_asks_for_fewer(ready: int, one: float, other: float) -> None:
    less, more = sorted((one, other))
    pods = observed(0.0, ready=ready).replicas
    assert per_pod(ready, Scraped(0.0, less, ready), pods, 2.0, 0.1) <= per_pod(
        ready, Scraped(0.0, more, ready), pods, 2.0, 0.1
    )
    assert of_total(ready, less, 2.0, 0.1) <= of_total(ready, more, 2.0, 0.1)
    assert apa(ApaSettings(), ready, less / 100) <= apa(ApaSettings(), ready, more / 100)
    assert ray_serve(RayServeSettings(), ready, less) <= ray_serve(RayServeSettings(), ready, more)
    assert saturation(WvaSettings(), ready, 0.1, less) <= saturation(WvaSettings(), ready, 0.1, more)
    assert slo_law(SloLawSettings(), ready, ready, min(2.0, less / 100)) <= slo_law(
        SloLawSettings(), ready, ready, min(2.0, more / 100)
    )


@given(COUNTS, st.integers(0, 200), COUNTS, st.floats(0.0, 10.0))
def test_those_who_start_never_make_the_hpa_s_answer_more_extreme(
    ready: int, starting: int, target: int, each: float
) -> None:
    # At exactly the target Kubernetes takes those without a metric for idle, and goes down to those that have one.
    assume(each * ready != ready * target)
    pods = observed(0.0, ready=ready, starting=starting).replicas
    alone = per_pod(ready, Scraped(0.0, each * ready, ready), observed(0.0, ready=ready).replicas, target, 0.1)
    together = per_pod(ready + starting, Scraped(0.0, each * ready, ready), pods, target, 0.1)
    if alone >= ready:
        assert together <= max(alone, ready + starting)
        assert together >= ready + starting
    else:
        assert together >= alone


@given(st.lists(st.tuples(st.floats(0.5, 60.0), st.integers(0, 60)), min_size=1, max_size=60))
def test_behavior_never_passes_what_was_asked_and_never_shrinks_below_five_minutes_of_it(
    asked: list[tuple[float, int]],
) -> None:
    behavior, now, current = Behavior(BehaviorSettings(min_replicas=0)), 0.0, 3
    history: list[tuple[float, int]] = []
    for pause, wanted in asked:
        now += pause
        history.append((now, wanted))
        after = behavior.limited(now, current, wanted)
        assert min(current, wanted) <= after <= max(current, wanted)
        if after < current:
            assert after >= max(want for at, want in history if at > now - 300.0)
        current = after
