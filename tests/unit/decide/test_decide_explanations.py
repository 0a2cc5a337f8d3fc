"""What a person reads: one sentence, with the numbers that decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.reading import Missing, Stale
from tests.unit.decide.decide_scenarios import VirtualService

OURS = ScalingPolicy(target=10.0)


def asleep() -> VirtualService:
    service = VirtualService(OURS, wanted=0, start_seconds=60.0, ever_ready=False)
    service.run(10.0)
    return service


def woken() -> VirtualService:
    service = asleep()
    service.service_seconds, service.waiting, service.concurrency = 2.0, 1.0, 1.0
    return service


def steady() -> VirtualService:
    service = VirtualService(OURS, wanted=3, concurrency=21.0)
    service.run(100.0)
    return service


def at_its_maximum() -> VirtualService:
    service = VirtualService(replace(OURS, max_replicas=3), wanted=3, concurrency=50.0)
    service.run(100.0)
    return service


def idle() -> VirtualService:
    service = VirtualService(OURS, wanted=1)
    service.run(20.0)
    return service


def unheard() -> VirtualService:
    return VirtualService(OURS, wanted=1, in_flight=Missing("chat-1: ready, but not heard of yet"))


def silent() -> VirtualService:
    return VirtualService(OURS, wanted=2, held=Stale(4.0, 12.0), measured=False)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (asleep, "Asleep: 0 requests at a time on average over 60 s at 7 per replica need 0."),
        (woken, "Wakes with 1: 1 request is held and each replica drains 150 in time, which takes 1."),
        (steady, "Stays at 3: 21 requests at a time on average over 60 s at 7 per replica need 3."),
        (
            at_its_maximum,
            "Stays at its maximum of 3: 50 requests at a time on average over 60 s at 7 per replica need 8; "
            "8 → 3: the maximum.",
        ),
        (
            idle,
            "Idle, stays at 1 before it may sleep: 0 requests at a time on average over 60 s at 7 per replica need 0; "
            "0 → 1: idle for less than the stable window (40 s left).",
        ),
        (
            unheard,
            "Stays at 1 because its load is not known: 0 requests at a time on average over 60 s at 7 per replica "
            "need 0; 0 → 1: unknown is not zero (chat-1: ready, but not heard of yet).",
        ),
        (silent, "Stays at 2 because its load is not known: last heard 12 s ago, 4 in flight then."),
    ],
)
def test_a_decision_explains_itself(make: object, sentence: str) -> None:
    assert callable(make)
    service = make()
    assert isinstance(service, VirtualService)
    assert service.step().explanation == sentence
