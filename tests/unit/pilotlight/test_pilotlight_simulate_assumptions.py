"""What a simulation says of its own assumptions."""

from __future__ import annotations

import pytest

from pilotlight.simulate.assumptions import line_said
from simulations.scenario import ServiceSpec
from tests.unit.simulations.plant.plant_worlds import service

USUAL = service(limit=4, queue_requests=40, queue_seconds=300.0)


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ((USUAL,), "at most 40 requests (queue-requests), each for 300 s (queue-seconds);"),
        (
            (USUAL, service("other", limit=1, queue_requests=10_000, queue_seconds=0.0)),
            "at most 40, 10,000 requests (queue-requests), each for 300 s, any time (queue-seconds);",
        ),
        ((USUAL, service("other", queue_requests=7)), "at most 40 requests (queue-requests), each for 300 s"),
    ],
)
def test_the_bounds_of_the_lines_in_queue_proxies_are_said(services: tuple[ServiceSpec, ...], said: str) -> None:
    assert line_said(services).startswith(said)


def test_of_replicas_without_a_limit_no_line_is_told_of() -> None:
    assert line_said((service(limit=0, queue_requests=7, queue_seconds=1.0),)) == ""
