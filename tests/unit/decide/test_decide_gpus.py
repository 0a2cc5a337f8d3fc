"""What GPUs may add to a decision: a guard against taking away, and a wish for more that is never the only one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision, LimitName, Reason, Signal
from autoscaler.decide.records import ReadingsRecord, parse_record, record_line
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.gpu import NOT_READ
from autoscaler.signals.observation import Sample
from autoscaler.signals.reading import Known, Missing, Reading, Stale
from tests.unit.decide.decide_scenarios import START, limit_names, observation

SOON = ScalingPolicy(
    target=1.0,
    target_utilization=1.0,
    stable_window_seconds=6.0,
    scale_to_zero_grace_seconds=0.0,
    scale_down_delay_seconds=0.0,
)
GUARDED = replace(SOON, gpu_busy=0.5)
WISHING = replace(SOON, gpu_utilization_target=0.5)
UNKNOWN: list[Reading] = [Stale(0.0, 300.0), Missing("no GPU metric speaks of chat-a"), NOT_READ]


def decided(
    policy: ScalingPolicy, gpus: Reading, load: float = 0.0, wanted: int = 1, ready: int | None = None, steps: int = 20
) -> list[Decision]:
    """Decisions every two seconds under a load that stays; replicas do not follow them."""
    decider, made = Decider("default/chat", policy), []
    for step in range(steps):
        at = START + 2.0 * step
        second = int(at)
        made.append(
            decider.step(
                replace(
                    observation(
                        at,
                        samples=(Sample(second - 2, load, load), Sample(second - 1, load, load)),
                        in_flight=Known(load),
                        wanted=wanted,
                        ready=wanted if ready is None else ready,
                        starting=0 if ready is None else wanted - ready,
                    ),
                    gpu_utilization=gpus,
                )
            )
        )
    return made


def test_busy_gpus_are_not_put_to_sleep_and_idle_ones_are() -> None:
    busy = decided(GUARDED, Known(0.93, 4.0))[-1]
    assert (busy.desired, busy.reason) == (1, Reason.STEADY)
    assert LimitName.GPU_BUSY in limit_names(busy)
    assert "GPUs are at work 93 % of the time and gpu-busy is 50 %" in busy.explanation
    assert decided(GUARDED, Known(0.49))[-1].desired == 0


def test_busy_gpus_are_not_scaled_down_and_idle_ones_are() -> None:
    assert decided(GUARDED, Known(0.5), load=1.0, wanted=4)[-1].desired == 4
    assert decided(GUARDED, Known(0.4), load=1.0, wanted=4)[-1].desired < 4


def test_the_guard_does_not_keep_replicas_that_are_not_ready() -> None:
    last = decided(GUARDED, Known(1.0), wanted=5, ready=2)[-1]
    assert last.desired == 2


def test_the_maximum_is_the_users_word_whatever_gpus_do() -> None:
    assert decided(replace(GUARDED, max_replicas=2), Known(1.0), wanted=4)[-1].desired == 2


def test_once_busy_gpus_are_idle_the_service_grows_idle_first() -> None:
    decider = Decider("default/chat", GUARDED)
    desired = []
    for step in range(40):
        busy = Known(1.0 if step < 15 else 0.0)
        seen = replace(
            observation(START + 2.0 * step, samples=(Sample(START + 2 * step - 1, 0.0, 0.0),)), gpu_utilization=busy
        )
        desired.append(decider.step(seen).desired)
    assert desired[:15] == [1] * 15
    assert desired[-1] == 0


@pytest.mark.parametrize("gpus", UNKNOWN)
@pytest.mark.parametrize("policy", [GUARDED, WISHING], ids=["guard", "target"])
def test_what_gpus_do_unknown_nothing_is_taken_away_from_who_asked_to_look_at_them(
    policy: ScalingPolicy, gpus: Reading
) -> None:
    asleep = decided(policy, gpus)[-1]
    assert asleep.desired == 1
    assert LimitName.GPU_UNKNOWN in limit_names(asleep)
    assert "what its GPUs do is not known" in asleep.explanation
    assert decided(policy, gpus, load=1.0, wanted=4)[-1].desired == 4


@pytest.mark.parametrize("gpus", [*UNKNOWN, Known(1.0), Known(0.0)])
@pytest.mark.parametrize(("load", "wanted"), [(0.0, 1), (1.0, 4), (5.0, 2)])
def test_without_the_keys_gpus_change_nothing(gpus: Reading, load: float, wanted: int) -> None:
    assert decided(SOON, gpus, load, wanted) == decided(SOON, NOT_READ, load, wanted)


@pytest.mark.parametrize("gpus", UNKNOWN)
def test_a_start_that_never_comes_is_given_up_whatever_is_known_of_gpus(gpus: Reading) -> None:
    policy = replace(GUARDED, progress_deadline_seconds=1.0)
    made = decided(policy, gpus, wanted=1, ready=0, steps=30)
    assert any(decision.reason is Reason.GAVE_UP_WAKING and decision.desired == 0 for decision in made)


def test_full_gpus_ask_for_more_than_requests_do() -> None:
    last = decided(WISHING, Known(0.9), load=2.0, wanted=3)[-1]
    assert (last.desired, last.winner) == (6, Signal.GPU_UTILIZATION)  # ceil(3 · 0.9 / 0.5)
    assert "GPUs are at work 90 % of the time, a replica is given 50 %" in last.explanation


def test_gpus_at_their_target_ask_for_what_is_there() -> None:
    policy = replace(WISHING, gpu_utilization_target=0.7)
    assert decided(policy, Known(0.7), load=3.0, wanted=3)[-1].desired == 3


def test_gpus_alone_ask_for_nothing() -> None:
    """Else a process that nobody asks anything, at 100 %, would have replicas added for ever."""
    last = decided(WISHING, Known(1.0), load=0.0, wanted=2)[-1]
    assert last.desired < 2
    assert last.winner is not Signal.GPU_UTILIZATION


def test_idle_gpus_never_shrink_what_requests_ask_for() -> None:
    last = decided(WISHING, Known(0.0), load=4.0, wanted=4)[-1]
    assert (last.desired, last.winner) == (4, Signal.CONCURRENCY_STABLE)


@given(
    utilization=st.floats(0.0, 1.0),
    load=st.sampled_from([0.0, 0.5, 3.0, 9.0]),
    wanted=st.integers(0, 6),
    busy=st.sampled_from([0.0, 0.2, 1.0]),
    target=st.sampled_from([0.0, 0.2, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_looking_at_gpus_never_gives_fewer_replicas(
    utilization: float, load: float, wanted: int, busy: float, target: float
) -> None:
    looking = replace(SOON, gpu_busy=busy, gpu_utilization_target=target)
    for gpus in (Known(utilization), Stale(utilization, 99.0), Missing("nobody said")):
        with_them = decided(looking, gpus, load, wanted, steps=8)
        without = decided(SOON, NOT_READ, load, wanted, steps=8)
        assert all(a.desired >= b.desired for a, b in zip(with_them, without, strict=True))


def test_a_line_without_gpu_readings_is_what_it_was_before_there_were_any() -> None:
    line = record_line(ReadingsRecord("default/chat", observation(START)))
    assert "gpu" not in line
    old = parse_record(line)
    assert isinstance(old, ReadingsRecord)
    assert (old.observation.gpu_utilization, old.observation.gpu_memory) == (NOT_READ, NOT_READ)


@pytest.mark.parametrize("gpus", [Known(0.5, 3.0), Stale(0.5, 90.0), Missing("no NVIDIA driver")])
def test_gpu_readings_are_recorded(gpus: Reading) -> None:
    record = ReadingsRecord("default/chat", replace(observation(START), gpu_utilization=gpus, gpu_memory=gpus))
    assert parse_record(record_line(record)) == record
