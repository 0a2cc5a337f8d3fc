"""Laws that hold for every policy, every reading and every state that can be reached."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.decide.decide import decide
from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision, LimitName, Phase
from autoscaler.decide.rates import rate_limits
from autoscaler.decide.records import (
    DecisionRecord,
    PolicyRecord,
    ReadingsRecord,
    StartRecord,
    parse_record,
    record_line,
)
from autoscaler.decide.state import Readings, State, Throughput, initial_state
from autoscaler.policy.scaling_policy import Aggregation, Improvements, Metric, ScalingPolicy
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing, Reading, Stale
from tests.unit.decide.decide_scenarios import START, knative_policy, observation

# Drawing an example costs more than deciding on it; a shared machine may be slow at any moment.
LAW = settings(max_examples=40, deadline=None)
LOADS = st.one_of(st.just(0.0), st.floats(0.0, 1e4), st.integers(0, 50).map(float))


@st.composite
def policies(draw: st.DrawFn) -> ScalingPolicy:
    minimum = draw(st.integers(0, 4))
    return ScalingPolicy(
        metric=draw(st.sampled_from(Metric)),
        target=draw(st.sampled_from([0.01, 1.0, 10.0, 100.0])),
        target_utilization=draw(st.sampled_from([0.1, 0.7, 1.0])),
        container_concurrency=draw(st.sampled_from([0, 1, 8])),
        min_replicas=minimum,
        max_replicas=draw(st.one_of(st.just(0), st.integers(max(1, minimum), 12))),
        initial_scale=draw(st.integers(0, 3)),
        asleep_at_first=draw(st.booleans()),
        activation_scale=draw(st.sampled_from([1, 2, 3])),
        stable_window_seconds=draw(st.sampled_from([6.0, 30.0, 60.0])),
        panic_window_fraction=draw(st.sampled_from([0.1, 0.5])),
        panic_threshold=draw(st.sampled_from([1.1, 2.0])),
        max_scale_up_rate=draw(st.sampled_from([1.5, 10.0, 1000.0])),
        max_scale_down_rate=draw(st.sampled_from([1.5, 2.0, 1000.0])),
        scale_down_delay_seconds=draw(st.sampled_from([0.0, 5.0, 60.0])),
        scale_to_zero=draw(st.booleans()),
        scale_to_zero_grace_seconds=draw(st.sampled_from([1.0, 30.0])),
        scale_to_zero_retention_seconds=draw(st.sampled_from([0.0, 20.0])),
        progress_deadline_seconds=draw(st.sampled_from([5.0, 600.0])),
        target_burst_capacity=draw(st.sampled_from([-1.0, 0.0, 211.0])),
        aggregation=draw(st.sampled_from(Aggregation)),
        improvements=Improvements(*(draw(st.booleans()) for _ in range(4))),
        gpu_busy=draw(st.sampled_from([0.0, 0.0, 0.5])),
        gpu_utilization_target=draw(st.sampled_from([0.0, 0.0, 0.5])),
    )


def readings(known: st.SearchStrategy[float]) -> st.SearchStrategy[Reading]:
    return st.one_of(
        known.map(Known), known.map(Known), known.map(lambda v: Stale(v, 9.0)), st.just(Missing("not heard of"))
    )


@st.composite
def observations(draw: st.DrawFn, length: int = 12) -> list[Observation]:
    seen, at, completed = list[Observation](), float(START), 0.0
    for _ in range(draw(st.integers(1, length))):
        completed += draw(st.sampled_from([0.0, 3.0, 40.0, 1e6]))
        at += draw(st.sampled_from([0.1, 2.0, 7.0, 70.0, 700.0]))
        count = draw(st.integers(0, 4))
        load = draw(LOADS)
        samples = tuple(
            Sample(
                math.floor(at) - 1 - k, load, draw(st.sampled_from([0.0, 3.0])), load * draw(st.sampled_from([0, 1]))
            )
            for k in reversed(range(count))
        )
        seen.append(
            Observation(
                at=at,
                samples=samples,
                in_flight=draw(readings(LOADS)),
                held=draw(readings(LOADS)),
                queued=draw(readings(LOADS)),
                engine_running=Missing(""),
                engine_waiting=Missing(""),
                kv_cache_usage=Missing(""),
                replicas=ReplicaCounts(
                    wanted=draw(st.integers(0, 20)),
                    ready=draw(st.integers(0, 20)),
                    starting=draw(st.integers(0, 4)),
                    pending=draw(st.integers(0, 2)),
                    failed=draw(st.integers(0, 1)),
                ),
                service_seconds=draw(st.sampled_from([None, 0.0, 0.5, 60.0])),
                wake_seconds=None,
                activator_confirmed=draw(st.booleans()),
                ever_ready=draw(st.booleans()),
                gpu_utilization=draw(readings(st.floats(0.0, 1.0))),
                gpu_memory=draw(readings(st.floats(0.0, 1.0))),
                completed=draw(st.sampled_from([None, 0.0, completed, completed, completed])),
            )
        )
    return seen


def fold(policy: ScalingPolicy, seen: list[Observation]) -> list[Decision]:
    decider = Decider("default/chat", policy)
    return [decider.step(observed) for observed in seen]


@LAW
@given(policies(), observations())
def test_the_result_is_within_the_bounds(policy: ScalingPolicy, seen: list[Observation]) -> None:
    for decision in fold(policy, seen):
        assert decision.desired >= policy.min_replicas
        assert policy.max_replicas == 0 or decision.desired <= policy.max_replicas


@st.composite
def drowsy_observations(draw: st.DrawFn) -> list[Observation]:
    """A service without load, over and over about to fall asleep, at which now and then something turns up."""
    seen, at = list[Observation](), float(START)
    nothing = Known(0.0)
    turns_up: list[Reading] = [nothing, nothing, nothing, Known(1.0), Stale(0.0, 9.0), Missing("unheard")]
    something = st.sampled_from(turns_up)
    for _ in range(draw(st.integers(1, 20))):
        at += draw(st.sampled_from([2.0, 31.0, 61.0]))
        wanted = draw(st.sampled_from([1, 1, 1, 2, 0]))
        seen.append(
            observation(
                at,
                samples=(Sample(math.floor(at) - 1, 0.0, 0.0),),
                in_flight=draw(something),
                held=draw(something),
                wanted=wanted,
                ready=wanted,
            )
        )
    return seen


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.just(ScalingPolicy()), st.just(knative_policy()), policies()), drowsy_observations())
def test_nothing_goes_to_zero_with_work_in_flight_or_with_a_reading_that_is_not_known(
    policy: ScalingPolicy, seen: list[Observation]
) -> None:
    for observed, decision in zip(seen, fold(policy, seen), strict=True):
        current = (observed.in_flight, observed.held)
        if any(isinstance(reading, Known) and reading.value > 0 for reading in current):
            assert decision.desired > 0
        if observed.replicas.wanted > 0 and not all(isinstance(reading, Known) for reading in current):
            assert decision.desired > 0


@LAW
@given(policies(), observations())
def test_a_reading_that_is_not_known_takes_nothing_away_but_what_is_above_the_maximum(
    policy: ScalingPolicy, seen: list[Observation]
) -> None:
    for observed, decision in zip(seen, fold(policy, seen), strict=True):
        if not all(isinstance(reading, Known) for reading in (observed.in_flight, observed.held)):
            most = policy.max_replicas or math.inf
            assert decision.desired >= min(observed.replicas.wanted, most)


@LAW
@given(policies(), observations())
def test_one_comes_before_none(policy: ScalingPolicy, seen: list[Observation]) -> None:
    policy = replace(policy, improvements=replace(policy.improvements, one_before_zero=True))
    for observed, decision in zip(seen, fold(policy, seen), strict=True):
        assert decision.desired > 0 or observed.replicas.wanted <= 1


@LAW
@given(policies(), observations())
def test_the_limits_lead_from_one_number_to_the_result(policy: ScalingPolicy, seen: list[Observation]) -> None:
    for decision in fold(policy, seen):
        assert all(limit.before != limit.after for limit in decision.limits)
        if decision.limits:
            assert decision.limits[-1].after == decision.desired or decision.winner is not None
        assert decision.explanation.endswith(".")
        assert "\n" not in decision.explanation
        assert (decision.desired == 0) == (decision.phase in (Phase.ASLEEP, Phase.DRAINING))


@LAW
@given(policies(), observations())
def test_rates_are_respected_by_the_load(policy: ScalingPolicy, seen: list[Observation]) -> None:
    """Bounds, activation scale, panic's maximum and what was there may lie outside; the load alone may not."""
    policy = replace(
        policy,
        min_replicas=0,
        initial_scale=0,
        activation_scale=1,
        scale_down_delay_seconds=0.0,
        panic_threshold=1e9,
        scale_to_zero=True,
    )
    outside = {LimitName.UNKNOWN_IS_NOT_ZERO, LimitName.MAX_REPLICAS, LimitName.PANIC_HOLDS}
    for observed, decision in zip(seen, fold(policy, seen), strict=True):
        if decision.winner is None or outside & {limit.name for limit in decision.limits}:
            continue
        limits = rate_limits(policy, observed.replicas)
        if decision.candidates[0].replicas is None:
            assert decision.desired <= max(limits.most, observed.replicas.wanted)
        elif decision.desired > observed.replicas.wanted:
            assert decision.desired <= limits.most
        elif decision.desired > 0:
            assert decision.desired >= min(limits.least, observed.replicas.wanted)


@st.composite
def states(draw: st.DrawFn, policy: ScalingPolicy) -> tuple[Readings, State]:
    """Any state that a few observations lead to, and a next observation with averages of its own."""
    *before, last = draw(observations(length=5).filter(lambda seen: len(seen) > 1))
    state = initial_state(policy, before[0])
    for observed in before:
        seen = Readings(observed, Known(draw(LOADS)), Known(draw(LOADS)), Known(1.0), None, state.backlog)
        _, state = decide(policy, seen, state, observed.at, "default/chat")
    measured = tuple((last.at - ago, draw(st.floats(0.01, 100.0))) for ago in draw(st.sampled_from([(), (9.0, 0.0)])))
    stable, panic, rate = Known(draw(LOADS)), Known(draw(LOADS)), Known(draw(LOADS))
    return Readings(last, stable, panic, rate, None, state.backlog, Throughput(measured=measured), draw(LOADS)), state


@LAW
@given(
    st.data(), policies(), st.sampled_from(["stable", "panic", "arrival_rate", "arriving", "held", "in_flight"]), LOADS
)
def test_more_load_never_asks_for_less(data: st.DataObject, policy: ScalingPolicy, what: str, more: float) -> None:
    readings_now, state = data.draw(states(policy))
    seen = readings_now.observation
    at = seen.at
    if what in ("held", "in_flight"):
        reading = getattr(seen, what)
        if not isinstance(reading, Known):
            return
        more_seen = replace(seen, **{what: Known(reading.value + more)})  # type: ignore[arg-type]
        grown = replace(readings_now, observation=more_seen)
    elif what == "arriving":
        grown = replace(readings_now, arriving=readings_now.arriving + more)
    else:
        reading = getattr(readings_now, what)
        grown = replace(readings_now, **{what: Known(reading.value + more)})  # type: ignore[arg-type]
    less, _ = decide(policy, readings_now, state, at, "default/chat")
    greater, _ = decide(policy, grown, state, at, "default/chat")
    assert greater.desired >= less.desired


@LAW
@given(policies(), observations())
def test_the_same_readings_give_the_same_bytes_also_after_being_written_and_read(
    policy: ScalingPolicy, seen: list[Observation]
) -> None:
    once = [record_line(DecisionRecord(decision)) for decision in fold(policy, seen)]
    read = []
    for observed in seen:
        record = parse_record(record_line(ReadingsRecord("default/chat", observed)))
        assert isinstance(record, ReadingsRecord)
        assert record.observation == observed
        read.append(record.observation)
    again = [record_line(DecisionRecord(decision)) for decision in fold(policy, read)]
    assert again == once
    for line in once:
        assert record_line(parse_record(line)) == line


@LAW
@given(policies())
def test_policies_survive_being_written_and_read(policy: ScalingPolicy) -> None:
    for record in (StartRecord("default/chat", policy), PolicyRecord("default/chat", policy)):
        assert parse_record(record_line(record)) == record
