"""Who is sampled, by `OTEL_TRACES_SAMPLER`: the same as the SDK's own sampler says, and what its names promise."""

from __future__ import annotations

import secrets

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult, TraceIdRatioBased

from queue_proxy.observability.otel import Samples, sampler_and_exporter
from queue_proxy.observability.trace_context import Caller

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("sampler", "without_caller", "unsampled", "sampled"),
    [
        ("", True, False, True),
        ("parentbased_always_on", True, False, True),
        ("parentbased_always_off", False, False, True),
        ("always_on", True, True, True),
        ("always_off", False, False, False),
    ],
)
def test_a_sampler_of_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, sampler: str, without_caller: bool, unsampled: bool, sampled: bool
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    made = sampler_and_exporter(Resource({}))
    assert made is not None
    samples, exporter = made
    exporter.shutdown()
    callers = (None, Caller(TRACE, SPAN, False), Caller(TRACE, SPAN, True))
    assert [samples(caller, TRACE) for caller in callers] == [without_caller, unsampled, sampled]


def test_a_ratio_is_asked_for_each_trace_and_agrees_with_the_sdk() -> None:
    sampler = TraceIdRatioBased(0.3)
    samples = Samples(sampler)
    ids = [secrets.token_hex(16) for _ in range(400)]
    ours = [samples(None, trace_id) for trace_id in ids]
    assert ours == [sampler.should_sample(None, int(trace_id, 16), "x").decision.value == 2 for trace_id in ids]
    assert 60 < sum(ours) < 180


def test_a_sampler_that_is_not_the_sdks_own_is_asked_every_time() -> None:
    class Alternating(Sampler):
        def __init__(self) -> None:
            self.asked = 0

        def should_sample(self, *args: object, **named: object) -> SamplingResult:
            self.asked += 1
            return TraceIdRatioBased(self.asked % 2).should_sample(None, 1, "x")

        def get_description(self) -> str:
            return "alternating"

    samples = Samples(Alternating())
    assert [samples(None, TRACE) for _ in range(4)] == [True, False, True, False]


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_the_environment_can_switch_it_off(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert sampler_and_exporter(Resource({})) is None
