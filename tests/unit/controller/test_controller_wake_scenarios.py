"""A wake from its first request to after its last, in virtual time and with the loop closed: see controller_plant."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.unit.controller.controller_plant import Plant

SHORT = {"stable_window": "6s", "scale_to_zero_grace_period": "1s", "backlog_drain_objective": "2s"}


def burst(requests: int, at: float = 5.0) -> list[float]:
    return [at + number / 1000 for number in range(requests)]


def steady(per_second: int, seconds: int, since: float = 5.0) -> list[float]:
    return [since + number / per_second for number in range(per_second * seconds)]


@pytest.mark.parametrize("known", [True, False], ids=["service time known", "first wake ever"])
@pytest.mark.parametrize("service_seconds", [0.05, 0.5, 1.5])
@pytest.mark.parametrize("requests", [10, 64, 300])
def test_a_burst_that_was_drained_orders_nothing_more(requests: int, service_seconds: float, known: bool) -> None:
    plant = Plant(
        burst(requests),
        start_seconds=2.0,
        service_seconds=service_seconds,
        slots=4,
        annotations=SHORT,
        known_service_seconds=known,
    )
    plant.run(30.0)
    assert plant.drained_at is not None
    ups = [later[0] for earlier, later in pairwise(plant.wanted_over_time) if later[1] > earlier[1]]
    assert all(at < 5.0 + 2.0 for at in ups), f"more replicas after the first were ready: {plant.wanted_over_time}"
    assert plant.wanted_over_time[-1][1] == 0


@pytest.mark.parametrize(
    ("requests", "service_seconds", "replicas"),
    [(64, 0.05, 1), (64, 0.5, 4), (300, 0.5, 19), (10, 3.0, 3)],
)
def test_the_replicas_that_a_wake_orders_drain_it_within_the_objective(
    requests: int, service_seconds: float, replicas: int
) -> None:
    plant = Plant(burst(requests), start_seconds=2.0, service_seconds=service_seconds, slots=4, annotations=SHORT)
    plant.run(15.0)
    assert plant.most_wanted() == replicas
    # Start, objective, and what the urgent correction and the second evaluation took.
    assert plant.longest_wait < 2.0 + 2.0 + 0.3


def test_a_burst_that_goes_on_gets_what_it_needs() -> None:
    """Eight requests/s of three seconds each: 24 at a time, nine replicas at 2.8 each."""
    arrivals = burst(64) + steady(8, 40)
    plant = Plant(
        arrivals,
        start_seconds=2.0,
        service_seconds=3.0,
        slots=4,
        annotations=SHORT | {"scale_down_delay": "0s"},
    )
    plant.run(5.0 + 30.0)
    assert {decision.desired for decision in plant.decisions if decision.at > 1_025.0} <= {8, 9, 10}
    assert plant.longest_wait < 4.0


def test_a_burst_that_goes_on_is_not_ordered_for_twice() -> None:
    """A long start: what piles up meanwhile is drained by a few more, and not taken for the load that goes on."""
    arrivals = burst(50) + steady(4, 150)
    plant = Plant(arrivals, start_seconds=60.0, service_seconds=5.0, slots=4, annotations={})
    plant.run(150.0)
    # 20 at a time need 8; to serve 290 that wait and 120 that come within the 30 s takes 410·5/(4·30) = 17.
    assert plant.most_wanted() <= 20
    assert plant.longest_wait < 60.0 + 2 * 30.0
    plant.run(40.0)
    assert plant.wanted_over_time[-1][1] <= 9


def test_a_first_urgent_push_of_one_request_is_corrected_at_once() -> None:
    plant = Plant(burst(64), start_seconds=2.0, service_seconds=0.5, slots=4, annotations=SHORT)
    plant.run(5.2)
    assert [wanted for _, wanted in plant.wanted_over_time] == [1, 4]
    first, corrected = (at for at, _ in plant.wanted_over_time)
    assert corrected - first <= 0.08
