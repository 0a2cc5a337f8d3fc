"""Every key of the table: what it takes, what it refuses, and where its value goes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import attrgetter

import pytest

from autoscaler.policy import keys
from autoscaler.policy.amounts import Duration, Fraction, Number, Percentage, Quantity, WholeNumber
from autoscaler.policy.key import PANIC_WINDOW_SECONDS, SEMANTICS, Key, Vocabulary
from autoscaler.policy.parse import read_policy
from autoscaler.policy.profiles import PROFILE
from autoscaler.policy.scaling_policy import Aggregation, Metric, ScalingMode, ScalingPolicy, Switch
from autoscaler.policy.words import Boolean, Choice, HeaderName, Name
from tests.unit.policy.services import KNATIVE, KSERVE, OURS, error_of, saying, service

# key, a text, the ScalingPolicy field and its value
MEANINGS: list[tuple[str, object, str, object]] = [
    (OURS + "scaling", "shadow", "mode", ScalingMode.SHADOW),
    (OURS + "scaling", "off", "mode", ScalingMode.OFF),
    (OURS + "metric", "rps", "metric", Metric.RPS),
    (OURS + "target", "2.5", "target", 2.5),
    (OURS + "target-utilization", "0.9", "target_utilization", 0.9),
    (OURS + "target-utilization", "90%", "target_utilization", 0.9),
    (OURS + "semantics", "knative", "improvements.one_before_zero", False),
    (OURS + "count-starting-replicas", "false", "improvements.starting_replicas_count", False),
    (OURS + "backlog-sizing", "false", "improvements.backlog_sizing", False),
    (OURS + "one-before-zero", "false", "improvements.one_before_zero", False),
    (OURS + "throughput-floor", "false", "improvements.throughput_floor", False),
    (OURS + "min-replicas", "3", "min_replicas", 3),
    (OURS + "max-replicas", "7", "max_replicas", 7),
    (OURS + "initial-scale", "2", "initial_scale", 2),
    (OURS + "activation-scale", "4", "activation_scale", 4),
    (OURS + "stable-window", "1m30s", "stable_window_seconds", 90.0),
    (OURS + "panic-window", "15s", "panic_window_fraction", 0.25),
    (OURS + "panic-threshold", "3", "panic_threshold", 3.0),
    (OURS + "panic-threshold", "150%", "panic_threshold", 1.5),
    (OURS + "max-scale-up-rate", "10", "max_scale_up_rate", 10.0),
    (OURS + "max-scale-down-rate", "1.5", "max_scale_down_rate", 1.5),
    (OURS + "scale-down-delay", "5m", "scale_down_delay_seconds", 300.0),
    (OURS + "window-aggregation", "weighted-exponential", "aggregation", Aggregation.WEIGHTED_EXPONENTIAL),
    (OURS + "target-burst-capacity", "-1", "target_burst_capacity", -1.0),
    (OURS + "stale-after", "10s", "stale_after_seconds", 10.0),
    (OURS + "scale-to-zero", "false", "scale_to_zero", False),
    (OURS + "scale-to-zero-grace-period", "500ms", "scale_to_zero_grace_seconds", 0.5),
    (OURS + "scale-to-zero-retention", "8h", "scale_to_zero_retention_seconds", 28800.0),
    (OURS + "progress-deadline", "20m", "progress_deadline_seconds", 1200.0),
    (OURS + "backlog-drain-objective", "5s", "backlog_drain_seconds", 5.0),
    (OURS + "gpu-busy", "80%", "gpu_busy", 0.8),
    (OURS + "gpu-utilization-target", "0.7", "gpu_utilization_target", 0.7),
    (OURS + "hold-requests", "50", "hold.requests", 50),
    (OURS + "hold-bytes", "64Mi", "hold.bytes", 64 * 2**20),
    (OURS + "hold-no-endpoint", "30s", "hold.no_endpoint_seconds", 30.0),
    (OURS + "hold-full", "10s", "hold.full_seconds", 10.0),
    (OURS + "priority-header", "on", "hold.priority_header", Switch.ON),
    (OURS + "tenant-header", "X-Tenant", "hold.tenant_header", "x-tenant"),
    (OURS + "timeout", "2m", "timeouts.total", 120.0),
    (OURS + "response-start-timeout", "10s", "timeouts.response_start", 10.0),
    (OURS + "idle-timeout", "45s", "timeouts.idle", 45.0),
    (KNATIVE + "class", "kpa.autoscaling.knative.dev", "mode", ScalingMode.ON),
    (KNATIVE + "metric", "rps", "metric", Metric.RPS),
    (KNATIVE + "target", "0.01", "target", 0.01),
    (KNATIVE + "target-utilization-percentage", "85", "target_utilization", 0.85),
    (KNATIVE + "target-burst-capacity", "0", "target_burst_capacity", 0.0),
    (KNATIVE + "min-scale", "3", "min_replicas", 3),
    (KNATIVE + "max-scale", "7", "max_replicas", 7),
    (KNATIVE + "initial-scale", "0", "initial_scale", 0),
    (KNATIVE + "activation-scale", "2", "activation_scale", 2),
    (KNATIVE + "scale-down-delay", "1h", "scale_down_delay_seconds", 3600.0),
    (KNATIVE + "window", "6s", "stable_window_seconds", 6.0),
    (KNATIVE + "panic-window-percentage", "12.5", "panic_window_fraction", 0.125),
    (KNATIVE + "panic-threshold-percentage", "110", "panic_threshold", 1.1),
    (KNATIVE + "scale-to-zero-pod-retention-period", "1m0.5s", "scale_to_zero_retention_seconds", 60.5),
    (KNATIVE + "metric-aggregation-algorithm", "weighted-exponential", "aggregation", Aggregation.WEIGHTED_EXPONENTIAL),
    (KNATIVE + "metric-aggregation-algorithm", "weightedExponential", "aggregation", Aggregation.WEIGHTED_EXPONENTIAL),
    ("serving.knative.dev/progress-deadline", "5m", "progress_deadline_seconds", 300.0),
    (KSERVE + "autoscalerClass", "external", "mode", ScalingMode.ON),
    (KSERVE + "deploymentMode", "RawDeployment", "mode", ScalingMode.ON),
    (KSERVE + "deploymentMode", "Standard", "mode", ScalingMode.ON),
    (KSERVE + "metric", "rps", "metric", Metric.RPS),
    (KSERVE + "targetUtilizationPercentage", "60", "target_utilization", 0.6),
    ("spec.predictor.minReplicas", 3, "min_replicas", 3),
    ("spec.predictor.maxReplicas", 7, "max_replicas", 7),
    ("spec.predictor.scaleTarget", 12, "target", 12.0),
    ("spec.predictor.scaleMetric", "rps", "metric", Metric.RPS),
    ("spec.predictor.containerConcurrency", 8, "container_concurrency", 8),
    ("spec.predictor.timeout", 30, "timeouts.total", 30.0),
]

# What needs another key beside it to have an effect.
BESIDE_A_LIMIT: list[tuple[str, str, str, object]] = [
    (OURS + "queue-requests", "9", "queue.requests", 9),
    (OURS + "queue-seconds", "30s", "queue.seconds", 30.0),
]

# Bounds that Knative gives: the key, the least and the most it takes, the next value below and above.
KNATIVE_BOUNDS: list[tuple[str, str, str, str, str | None]] = [
    ("target", "0.01", "0.009999", "1000000", None),
    ("target-utilization-percentage", "1", "0.99", "100", "100.01"),
    ("target-burst-capacity", "0", "-0.5", "100000", None),
    ("min-scale", "0", "-1", "2147483647", "2147483648"),
    ("max-scale", "0", "-1", "2147483647", "2147483648"),
    ("initial-scale", "0", "-1", "1000", None),
    ("activation-scale", "2", "1", "1000", None),
    ("scale-down-delay", "0s", "-1s", "1h", "1h1s"),
    ("window", "6s", "5s", "1h", "1h1s"),
    ("panic-window-percentage", "1", "0.5", "100", "101"),
    ("panic-threshold-percentage", "110", "109.9", "1000", "1000.1"),
    ("scale-to-zero-pod-retention-period", "0s", "-1ms", "1h", "1h1ms"),
]


@pytest.mark.parametrize(("name", "value", "field", "meaning"), MEANINGS)
def test_a_key_sets_its_field(name: str, value: object, field: str, meaning: object) -> None:
    assert attrgetter(field)(read_policy(saying(name, value))) == meaning


@pytest.mark.parametrize(("name", "value", "field", "meaning"), BESIDE_A_LIMIT)
def test_a_key_of_the_queue_sets_its_field(name: str, value: str, field: str, meaning: object) -> None:
    assert attrgetter(field)(read_policy(service({name: value}, containerConcurrency=4))) == meaning


def test_the_tables_here_leave_no_key_out() -> None:
    named = {name for name, *_ in MEANINGS + BESIDE_A_LIMIT} | {PROFILE}  # which has tests of its own
    assert named == {key.name for key in keys.ALL}


@pytest.mark.parametrize(
    ("name", "value", "field", "meaning"), [row for row in MEANINGS if "-" in row[0] and row[0].startswith(KNATIVE)]
)
def test_both_spellings_agree(name: str, value: str, field: str, meaning: object) -> None:
    domain, _, kebab = name.partition("/")
    first, *rest = kebab.split("-")
    camel = f"{domain}/{first}{''.join(map(str.capitalize, rest))}"
    assert read_policy(service({camel: value})) == read_policy(service({name: value}))
    assert attrgetter(field)(read_policy(service({camel: value}))) == meaning


@pytest.mark.parametrize(("name", "least", "below", "most", "above"), KNATIVE_BOUNDS)
def test_knatives_bounds_hold_to_the_letter(name: str, least: str, below: str, most: str, above: str | None) -> None:
    read_policy(service({KNATIVE + name: least}))
    read_policy(service({KNATIVE + name: most}))
    assert "is below" in error_of(service({KNATIVE + name: below})).message
    if above is not None:
        assert "is above" in error_of(service({KNATIVE + name: above})).message


@pytest.mark.parametrize("name", ["window", "scale-down-delay"])
def test_knatives_windows_are_whole_seconds(name: str) -> None:
    assert "whole number of seconds" in error_of(service({KNATIVE + name: "6500ms"})).message


def _wrong_texts(key: Key) -> Iterator[str]:
    kind = key.kind
    yield from ("", " ", "?", "x" * 1000, "\x00", "\u0663", "1,5", "[]")
    if isinstance(kind, Name):
        yield from ("a b", "-a", "a-", "x" * 64, "a/b")
        return
    yield "null"
    if isinstance(kind, HeaderName):
        yield from ("x tenant", "x:tenant", "-x", "Host", "content-type", "pilotlight-priority", "true", "x" * 64)
        return
    if not isinstance(kind, Choice):
        yield from (
            "NaN",
            "inf",
            "-inf",
            "Infinity",
            "1e999",
            "-1e999",
            "1e400",
            "nan%",
            "0x10",
            "1_000",
            " 3",
            "3 ",
            "on",
        )
    if not isinstance(kind, Choice | Boolean):
        yield from ("-7", "-7s", "9" * 30, "9" * 30 + "s", "9" * 30 + "%", "9" * 20 + "Ti")
    if isinstance(kind, Duration):
        yield from ("60", "1d", "60 s", "60S", "1m 30s", "64Mi", "70%")
    if isinstance(kind, WholeNumber):
        yield from ("1.5", "1.0", "1e1", "3s", "70%", "64Mi", str(kind.lowest - 1), str(kind.highest + 1))
    if isinstance(kind, Number | Percentage):
        yield from ("70%", "3s", "64Mi", "three")
    if isinstance(kind, Number):
        yield from (repr(kind.lowest - 0.001), repr(kind.highest * 1.001))
    if isinstance(kind, Fraction):
        yield from ("3s", repr(kind.lowest - 0.001), repr(kind.highest + 0.001), "70", "%", "7%%")
        yield "0.0001%" if kind.lowest else "-0.0001%"
    if isinstance(kind, Boolean):
        yield from ("yes", "True", "1", "0", "TRUE")
    if isinstance(kind, Quantity):
        yield from ("64MB", "64s", "70%", "0.5", str(kind.lowest - 1), str(kind.highest + 1))


@pytest.mark.parametrize("key", keys.ANNOTATIONS, ids=attrgetter("name"))
def test_an_annotation_refuses_everything_else_and_says_what_is_allowed(key: Key) -> None:
    for text in _wrong_texts(key):
        error = error_of(service({key.name: text}))
        assert (error.key, error.allowed) == (key.name, key.allowed), text
        assert error.message, text
        assert str(error.source) == "default/chat", text


@pytest.mark.parametrize("key", keys.FIELDS, ids=attrgetter("name"))
def test_a_field_of_the_spec_refuses_everything_else(key: Key) -> None:
    wrong: list[object] = [True, 2.5, math.nan, math.inf, -1, 10**40, 10**5000, "3", "", [], {}, "cpu"]
    for value in wrong:
        error = error_of(saying(key.name, value))
        assert (error.key, error.allowed) == (key.name, key.allowed), value


@pytest.mark.parametrize("key", [key for key in keys.ALL if key.default and key.field], ids=attrgetter("name"))
def test_the_default_that_is_documented_is_the_one_that_applies(key: Key) -> None:
    in_knatives_terms = key.vocabulary is Vocabulary.KNATIVE and key.name.startswith(KNATIVE)
    annotations = {KNATIVE + "class": "kpa.autoscaling.knative.dev"} if in_knatives_terms else {}
    policy = read_policy(service(annotations))
    applied = attrgetter(key.field)(policy)
    assert key.kind.parse(key.default) == (applied if isinstance(applied, int | float) else applied.value)


def test_nothing_said_is_the_default_policy() -> None:
    assert read_policy(service()) == ScalingPolicy()


@pytest.mark.parametrize("key", keys.ALL, ids=attrgetter("name"))
def test_every_key_says_what_it_does_and_what_applies_without_it(key: Key) -> None:
    assert key.help.endswith(".")
    assert key.default or key.otherwise
    assert key.field in ("", SEMANTICS, PANIC_WINDOW_SECONDS) or attrgetter(key.field)(ScalingPolicy()) is not None


def test_no_name_is_declared_twice() -> None:
    names = [name for key in keys.ALL for name in (key.name, *key.spellings)]
    assert len(names) == len(set(names))
