"""What a person reads: one sentence, with the numbers that decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from autoscaler.decide.explain import _number
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
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


def with_limits(**settings: object) -> VirtualService:
    """Five replicas, busy; then no load."""
    service = VirtualService(replace(OURS, **settings), wanted=5, concurrency=35.0)  # type: ignore[arg-type]
    service.run(100.0)
    return service


def going_down() -> VirtualService:
    service = with_limits(stable_window_seconds=6.0, max_scale_down_rate=1.2, scale_down_delay_seconds=0.0)
    service.concurrency = 0.0
    service.run(2.0)
    return service


def delayed() -> VirtualService:
    service = with_limits(stable_window_seconds=6.0, scale_down_delay_seconds=60.0)
    service.concurrency = 7.0
    service.run(8.0)
    return service


def panicking() -> VirtualService:
    service = VirtualService(OURS, wanted=1, concurrency=7.0)
    service.run(100.0)
    service.concurrency = 70.0
    service.run(4.0)
    return service


def panic_over() -> VirtualService:
    service = panicking()
    service.concurrency = 0.0
    service.run(8.0)
    return service


def unknown_service_time() -> VirtualService:
    service = asleep()
    service.waiting = service.concurrency = 25.0
    return service


def never_ready() -> VirtualService:
    service = VirtualService(OURS, wanted=0, start_seconds=1e9, ever_ready=False)
    service.run(10.0)
    service.waiting = service.concurrency = 1.0
    service.run(2.0)
    service.waiting = service.concurrency = 0.0
    service.run(70.0)
    return service


def given_up() -> VirtualService:
    service = never_ready()
    service.run(558.0)
    return service


def in_grace() -> VirtualService:
    service = VirtualService(OURS, wanted=1, activator_confirmed=False)
    service.run(60.0)
    service.activator_confirmed = True
    return service


def unseen_activator() -> VirtualService:
    service = VirtualService(OURS, wanted=1, activator_confirmed=False)
    service.run(64.0)
    return service


def by_rate() -> VirtualService:
    service = VirtualService(replace(OURS, metric=Metric.RPS), wanted=3, concurrency=30.0, arrivals=20.0)
    service.run(100.0)
    return service


def at_its_minimum() -> VirtualService:
    service = VirtualService(replace(OURS, min_replicas=2), wanted=2)
    service.run(100.0)
    return service


def kept_for_the_backlog() -> VirtualService:
    service = asleep()
    service.service_seconds, service.waiting, service.concurrency = 2.0, 600.0, 600.0
    service.start_seconds = 3.0
    service.step()
    service.arrivals = 0.0
    service.run(4.0)
    service.waiting, service.concurrency = 100.0, 140.0
    return service


SLEEPS = "no request in the last 60 s"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (asleep, f"Asleep: {SLEEPS}."),
        (woken, "Wakes with 1: 1 request waits, one replica can drain 150 within 30 s."),
        (unknown_service_time, "Wakes with 3: 25 requests wait, one replica takes 10 at a time."),
        (
            kept_for_the_backlog,
            "Stays at 4: 100 requests that waited for the start still wait, 4 replicas were ordered to drain them.",
        ),
        (steady, "Stays at 3: 21 requests at a time over the last 60 s, a replica is given 7."),
        (by_rate, "Stays at 3: 20 requests per second over the last 60 s, a replica is given 7."),
        (
            at_its_maximum,
            "Stays at its maximum of 3: 50 requests at a time over the last 60 s, a replica is given 7, "
            "which takes 8; maxReplicas is 3.",
        ),
        (at_its_minimum, f"Stays at its minimum of 2: {SLEEPS}; minReplicas is 2."),
        (idle, f"Idle, keeps 1 for now: {SLEEPS}; it sleeps after 60 s without a request, 40 s to go."),
        (in_grace, f"Idle, keeps 1 for now: {SLEEPS}; the grace period before zero is 30 s, 30 s to go."),
        (unseen_activator, f"Idle, keeps 1 for now: {SLEEPS}; requests are not seen to reach the activator yet."),
        (
            never_ready,
            f"Idle, keeps 1 for now: {SLEEPS}; its first replica is awaited, 558 s to go.",
        ),
        (given_up, "Gives up waking, from 1 to 0: no replica was ready within 600 s and nobody waits."),
        (
            going_down,
            "Down from 4 to 3: 7 requests at a time over the last 6 s, a replica is given 7, which takes 1; "
            "the rate limit down, ÷1.2, allows no fewer than 3 now.",
        ),
        (
            delayed,
            "Stays at 5: 7 requests at a time over the last 6 s, a replica is given 7, which takes 1; "
            "5 were needed within the scale-down delay of 60 s.",
        ),
        (panicking, "Panic, up from 9 to 10: 70 requests at a time over the last 6 s, a replica is given 7."),
        (
            panic_over,
            "Panic, stays at 9: 10.1 requests at a time over the last 60 s, a replica is given 7, which takes 2; "
            "in panic the 9 asked for before stay.",
        ),
        (unheard, "Stays at 1, its load is not known: chat-1: ready, but not heard of yet."),
        (silent, "Stays at 2, its load is not known: last heard 12 s ago, 4 requests then."),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_decision_explains_itself(make: Callable[[], VirtualService], sentence: str) -> None:
    assert make().step().explanation == sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.001, "less than 0.01"), (0.5, "0.5"), (2.8, "2.8"), (9.876, "9.88"), (12.345, "12.3"),
     (137.9, "138"), (1e7, "10000000")],
)  # fmt: skip
def test_numbers_are_as_exact_as_a_person_can_use(value: float, text: str) -> None:
    assert _number(value) == text
