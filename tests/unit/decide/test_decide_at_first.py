"""A service of which no replica has been ready yet: what the cluster begins with is awaited, or taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.decide.decision import Decision, LimitName, Reason
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Sample
from tests.unit.decide.decide_scenarios import VirtualService, knative_policy, limit_names, observation

OURS = ScalingPolicy()
ASLEEP = replace(OURS, asleep_at_first=True)


def begun(policy: ScalingPolicy, *, confirmed: bool = True) -> VirtualService:
    """As KServe begins it, with one replica that loads for two minutes."""
    service = VirtualService(policy, wanted=1, ever_ready=False, start_seconds=120.0, activator_confirmed=confirmed)
    service._ready_at = [service.now + 120.0]
    return service


def test_the_first_replica_is_awaited_where_nothing_is_said() -> None:
    service = begun(OURS)
    decision = service.run(100.0)
    assert (decision.desired, limit_names(decision)[-1]) == (1, LimitName.NEVER_READY)


@pytest.mark.parametrize("policy", [ASLEEP, knative_policy(initial_scale=0, asleep_at_first=True)])
def test_it_is_taken_away_where_none_was_asked_for_as_soon_as_requests_reach_the_activator(
    policy: ScalingPolicy,
) -> None:
    service = begun(policy, confirmed=False)
    decision = service.run(10.0)
    assert (decision.desired, limit_names(decision)[-1]) == (1, LimitName.ACTIVATOR_NOT_IN_PATH)
    service.activator_confirmed = True
    decision = service.step()
    assert (decision.desired, decision.reason) == (0, Reason.SLEEP)


def woken_once(service: VirtualService) -> Decision:
    """Somebody comes, and goes before a replica is ready."""
    service.concurrency = 1.0
    service.run(4.0)
    service.concurrency = 0.0
    return service.run(60.0)


def test_somebody_who_comes_gets_it_and_the_start_goes_on_when_he_leaves() -> None:
    service = begun(ASLEEP, confirmed=False)
    decision = woken_once(service)
    service.activator_confirmed = True
    assert (decision.desired, limit_names(decision)[-1]) == (1, LimitName.NEVER_READY)


def test_its_first_wake_is_like_any_other() -> None:
    service = begun(ASLEEP)
    service.run(10.0)
    assert service.wanted == 0
    decision = woken_once(service)
    assert (decision.desired, limit_names(decision)[-1]) == (1, LimitName.NEVER_READY)


@pytest.mark.parametrize("ago", [10, 90, 500])
def test_a_successor_goes_on_with_the_start_for_somebody_who_may_come_again(ago: int) -> None:
    service = begun(ASLEEP)
    now = int(service.now)
    history = tuple(Sample(second, float(second == now - ago), 0.0) for second in range(now - 600, now))
    service.decider.step(observation(service.now, samples=history, ready=0, starting=1, ever_ready=False))
    decision = service.run(100.0)
    assert (decision.desired, limit_names(decision)[-1]) == (1, LimitName.NEVER_READY)


def test_a_minimum_counts_more() -> None:
    assert begun(replace(ASLEEP, min_replicas=1)).run(60.0).desired == 1


def test_what_is_ready_sleeps_as_always() -> None:
    service = VirtualService(ASLEEP, wanted=1, ever_ready=True)
    asleep, always = service.run_until(0), VirtualService(OURS, wanted=1).run_until(0)
    assert asleep == always > ASLEEP.stable_window_seconds
