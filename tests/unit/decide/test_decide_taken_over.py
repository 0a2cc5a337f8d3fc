"""A decider that begins where another one ended: with its history it goes on, without it keeps what is ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from autoscaler.decide.decider import Decider, seconds_remembered
from autoscaler.decide.decision import Decision
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.collector import Collector
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing, Stale
from queue_proxy.messages import SecondStats
from tests.unit.decide.decide_scenarios import START, knative_policy, observation
from tests.unit.signals.collector_sources import ACTIVATOR, Proxy

# Of ten at a time a replica is given seven.
OURS = ScalingPolicy(target=10.0, container_concurrency=10)
BY_RPS = ScalingPolicy(metric=Metric.RPS, target=10.0)
SINCE = 100  # the second in which the load changes


def told(load: Callable[[int], float], first: int, end: int) -> tuple[Sample, ...]:
    return tuple(Sample(START + second, load(second), load(second)) for second in range(first, end))


def desired(load: Callable[[int], float], taken_over: int = 0, start_seconds: int = 0, until: int = 260) -> list[int]:
    """What is asked for every two seconds, of a service that had 3 replicas; another decider is told the history and
    goes on at `taken_over`."""
    decider, ready_at, sampled, wanted = Decider("default/chat", OURS), [0] * 3, 0, list[int]()
    for second in range(2, until, 2):
        if second == taken_over:
            decider, sampled = Decider("default/chat", OURS), max(0, second - seconds_remembered(OURS))
        ready = sum(at <= second for at in ready_at)
        decision = decider.step(
            observation(
                START + second + 0.1,
                samples=told(load, sampled, second),
                in_flight=Known(load(second)),
                wanted=len(ready_at),
                ready=ready,
                starting=len(ready_at) - ready,
            )
        )
        sampled = second
        ready_at = (ready_at + [second + start_seconds] * decision.desired)[: decision.desired]
        wanted.append(decision.desired)
    return wanted


def swinging(second: int) -> float:
    """More than three replicas are given, eight seconds of thirty; on average it is less."""
    return 24.0 if second % 30 < 8 and second > SINCE else 15.0


@pytest.mark.parametrize("at", range(SINCE + 20, SINCE + 50, 4))
def test_peaks_that_order_nothing_order_nothing_of_a_successor(at: int) -> None:
    assert set(desired(swinging, taken_over=at)) == {3}


@pytest.mark.parametrize("start_seconds", [0, 8, 40])
@pytest.mark.parametrize("at", range(SINCE, SINCE + 40, 4))
def test_in_a_burst_a_successor_asks_for_as_much_as_early(at: int, start_seconds: int) -> None:
    def burst(second: int) -> float:
        return 15.0 if second < SINCE else 60.0 if second < SINCE + 16 else 80.0

    alone = desired(burst, start_seconds=start_seconds)
    assert max(alone) > 6
    taken_over = desired(burst, taken_over=at, start_seconds=start_seconds)
    assert all(mine >= its for mine, its in zip(taken_over, alone, strict=True))


@pytest.mark.parametrize("start_seconds", [0, 8, 40])
@pytest.mark.parametrize("at", range(SINCE + 2, SINCE + 60, 6))
def test_what_was_asked_for_in_panic_stays_as_long(at: int, start_seconds: int) -> None:
    def burst(second: int) -> float:
        return 80.0 if SINCE <= second < SINCE + 12 else 15.0

    alone = desired(burst, start_seconds=start_seconds)
    taken_over = desired(burst, taken_over=at, start_seconds=start_seconds)
    assert min(taken_over[at // 2 :]) >= min(max(taken_over[: at // 2]), min(alone[at // 2 :]))


def at_first(policy: ScalingPolicy = OURS, **said: object) -> Decision:
    now = START + 100.0
    whole = told(lambda _: 15.0, 100 - seconds_remembered(policy), 100)
    seen = observation(now, samples=whole, in_flight=Known(15.0), wanted=3, ready=3)
    return Decider("default/chat", policy).step(replace(seen, **said))  # type: ignore[arg-type]


def test_with_the_whole_history_it_does_not_begin_in_panic() -> None:
    decision = at_first()
    assert (decision.panic, decision.desired) == (False, 3)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        pytest.param(OURS, {"samples": ()}, id="nothing told"),
        pytest.param(OURS, {"samples": told(lambda _: 5.0, 50, 100)}, id="not the whole window"),
        pytest.param(OURS, {"in_flight": Missing("chat-2: ready, but not heard of yet")}, id="a replica unheard"),
        pytest.param(OURS, {"in_flight": Stale(15.0, 9.0)}, id="a replica silent"),
        pytest.param(OURS, {"held": Missing("no activator has reported")}, id="no activator"),
        pytest.param(OURS, {"samples": told(lambda at: 12.0 if at < 94 else 36.0, 30, 100)}, id="a burst"),
        pytest.param(
            BY_RPS,
            {"samples": tuple(Sample(START + at, 15.0, 2.0 if at < 94 else 9.0) for at in range(30, 100))},
            id="a burst of arrivals",
        ),
        pytest.param(OURS, {"samples": told(lambda _: 0.0, 30, 100)}, id="no load"),
        pytest.param(OURS, {"replicas": ReplicaCounts(wanted=5, ready=3, starting=2)}, id="more were ordered"),
        pytest.param(replace(OURS, scale_down_delay_seconds=30.0), {}, id="a short delay"),
        pytest.param(knative_policy(target=10.0, scale_down_delay_seconds=120.0), {}, id="knative"),
    ],
)
def test_else_it_does_and_nothing_is_taken_away(policy: ScalingPolicy, said: dict[str, object]) -> None:
    decision = at_first(policy, **said)
    assert (decision.panic, decision.desired >= 3) == (True, True)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("late", [0.0, 1.0, 3.0, 8.0])
def test_the_history_that_sources_tell_is_whole_however_late_it_is_read(late: float, part: float) -> None:
    rows = [SecondStats(age + part, 5.0, 0.0, 1) for age in reversed(range(seconds_remembered(OURS)))]
    silence = [replace(row, busy=0.0, arrived=0) for row in (rows[0], rows[-1])]
    now, collector, replicas = START + 0.7 + late, Collector(5.0), ("chat-1", "chat-2", "chat-3")
    for name in replicas:
        collector.receive(replace(Proxy(name, running=5).read(), seconds=tuple(rows)), now)
    collector.receive(replace(Proxy(ACTIVATOR).read(), seconds=tuple(silence)), now)
    seen: Observation = collector.collect(
        now + 0.1, ready=replicas, present=replicas, replicas=ReplicaCounts(3, 3), ever_ready=True
    )
    assert not Decider("default/chat", OURS).step(seen).panic
