"""Sweeps as they are written, settings of policies, service models: what is taken, and what is said of the rest."""

from __future__ import annotations

import math

import pytest

from autoscaler.policy.scaling_policy import Metric
from simulations.census import Census
from simulations.contender import contender
from simulations.model_notation import ModelError, default_model, parse_model
from simulations.own_policy import default_policy, with_settings
from simulations.policies.settings import PolicyError
from simulations.scenario import ContinuousBatching, DrawnSeconds, MeasuredSeconds, Shape
from simulations.sweep import AXES, SweepError, parse_sweep

WITH_SECONDS = Census(100, (100,), 1.0, 0.0, 0.5, math.nan, math.nan)
WITH_TOKENS = Census(100, (100,), 0.0, 1.0, math.nan, 300.0, 90.0)
WITH_NOTHING = Census(100, (100,), 0.0, 0.0, math.nan, math.nan, math.nan)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("startup=0.25..4", (0.25, 0.5, 1.0, 2.0, 4.0)),
        ("load=0.5,1,4", (0.5, 1.0, 4.0)),
        ("metric-delay=0..60s/3", (0.0, 30.0, 60.0)),
        ("metric-delay=30s,1m", (30.0, 60.0)),
        ("keep-alive=0..10m/3", (0.0, 300.0, 600.0)),
        ("metric-loss=0..0.2", (0.0, 0.05, 0.1, 0.15, 0.2)),
        ("gpus=1..4/10", (1.0, 2.0, 3.0, 4.0)),
    ],
)
def test_a_sweep_steps_through_its_values(text: str, values: tuple[float, ...]) -> None:
    assert parse_sweep(text).values == pytest.approx(values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speed=1..2", "'speed' cannot be varied; there are startup, load"),
        ("startup", "startup=LEAST..MOST"),
        ("startup=", "startup=LEAST..MOST"),
        ("startup=4..1", "does not go upwards"),
        ("startup=0..4", "'0' is not a number from 0.01 to 100"),
        ("startup=a..b", "'a' is not a number"),
        ("gpus=1.5,2", "is not a whole number"),
        ("load=1,1", "given twice"),
        ("load=1..2/1", "2 to 100"),
        ("load=..", "is not a number"),
    ],
)
def test_a_sweep_that_cannot_be_is_named(text: str, said: str) -> None:
    with pytest.raises(SweepError) as caught:
        parse_sweep(text)
    assert said in str(caught.value)


def test_keys_of_the_one_table_set_a_policy() -> None:
    policy = with_settings(
        default_policy(8), [("target-concurrency", "4"), ("stable-window", "30s"), ("maxReplicas", "9")]
    )
    assert (policy.metric, policy.target, policy.stable_window_seconds) == (Metric.CONCURRENCY, 4.0, 30.0)
    assert policy.max_replicas == 9


def test_a_target_that_nobody_chose_follows_the_limit() -> None:
    assert with_settings(default_policy(8), [("containerConcurrency", "2")]).target == 2.0
    chosen = with_settings(default_policy(8), [("target", "4")])
    assert with_settings(chosen, [("stable-window", "30s")]).target == 4.0


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("target-concurency", "4", "did you mean target-concurrency?"),
        ("stable-window", "5m5", "stable-window=5m5"),
        ("max-replicas", "-1", "max-replicas=-1"),
        ("profile", "gold", "is not a key of a policy"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_what_is_allowed(key: str, value: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        with_settings(default_policy(8), [(key, value)])
    assert said in str(caught.value)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(PolicyError):
        with_settings(default_policy(8), [("min-replicas", "5"), ("max-replicas", "2")])


def test_an_axis_finds_the_setting_of_each_policy() -> None:
    own = {"chat": default_policy(4)}
    axis = AXES["keep-alive"]
    timer = axis.contender(contender("keep-alive", own), 60.0)
    ours = axis.contender(contender("pilotlight", own), 60.0)
    assert timer is not None
    assert timer.text == "keep-alive:idle=60s"
    assert ours is not None
    assert ours.policies is not None
    assert ours.policies["chat"].scale_down_delay_seconds == 60.0
    assert axis.contender(contender("peak", own), 60.0) is None


@pytest.mark.parametrize(
    ("policy", "swept"),
    [
        ("hpa", None),  # a share of the replica's time
        ("hpa:metric=concurrency", "hpa:metric=concurrency,target=2"),
        ("apa", None),  # a share of its KV cache
        ("apa:metric=waiting,target=1", "apa:metric=waiting,target=2"),
        ("keda:metric=kv,target=0.7", None),
        ("ray-serve", "ray-serve:target=2"),
    ],
)
def test_a_target_of_requests_is_given_to_those_alone_who_count_requests(policy: str, swept: str | None) -> None:
    made = AXES["target"].contender(contender(policy, {}), 2.0)
    assert (None if made is None else made.text) == swept


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("measured", MeasuredSeconds(0.5, 0)),
        ("measured:2s,slots=4", MeasuredSeconds(2.0, 4)),
        ("fixed:250ms", DrawnSeconds(0.25, Shape.CONSTANT, 0.0, 0)),
        ("exponential:0.5,slots=2", DrawnSeconds(0.5, Shape.EXPONENTIAL, 1.0, 2)),
        ("gamma:1m,cv=0.5", DrawnSeconds(60.0, Shape.GAMMA, 0.5, 0)),
        (
            "llm:alpha=20ms,beta=1ms,slots=8,prefill=100us,input=7,output=9,kv=1000",
            ContinuousBatching(1e-4, 0.02, 0.001, 8, 1000, 7, 9),
        ),
    ],
)
def test_a_service_model_is_read(text: str, model: object) -> None:
    read = parse_model(text, WITH_SECONDS)
    assert type(read) is type(model)
    for name in read.__slots__:
        value, wanted = getattr(read, name), getattr(model, name)
        assert value == (pytest.approx(wanted) if isinstance(wanted, float) else wanted)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("normal:1s", "there are measured, fixed"),
        ("fixed", "say how long it takes"),
        ("fixed:soon", "soon"),
        ("exponential:1s,cv=2", "'cv' is not a key"),
        ("llm:alpha=0", "alpha"),
        ("llm:slots=0", "slots=0 is not a whole number from 1"),
        ("llm:gamma=2", "'gamma' is not a key; there are alpha, beta"),
        ("llm:3s", "is not KEY=VALUE"),
    ],
)
def test_a_service_model_that_cannot_be_is_named(text: str, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_model(text, WITH_SECONDS)
    assert said in str(caught.value)


def test_the_model_is_chosen_by_what_the_trace_records() -> None:
    assert default_model(WITH_SECONDS).text == "measured"
    batching = default_model(WITH_TOKENS).model
    assert isinstance(batching, ContinuousBatching)
    assert (batching.input_tokens, batching.output_tokens) == (300, 90)
    with pytest.raises(ModelError, match="--model"):
        default_model(WITH_NOTHING)
