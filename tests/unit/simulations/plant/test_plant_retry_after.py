"""Who is refused comes back when Retry-After says, which is what activator and queue proxy would have said."""

from __future__ import annotations

import pytest

from activator.messages import HoldBounds
from simulations.plant.results import Outcome
from simulations.scenario import Clients
from tests.unit.simulations.plant.plant_worlds import Arrivals, Script, run

_ONE = HoldBounds(requests=1, bytes=0, no_endpoint_seconds=0.0, full_seconds=0.0)
_HEEDFUL = Clients(retries=5)


def seconds_of_attempts(script: Script) -> list[int]:
    """In which seconds somebody sent."""
    told = [(sample.second, round(sample.rps)) for observed in script.seen for sample in observed.samples]
    return [second for second, arrived in sorted(told) for _ in range(arrived)]


@pytest.mark.parametrize(
    ("arrivals", "script", "initial", "attempts"),
    [
        pytest.param([1.0, 2.0], Script(), 0, [1, 2, 12, 22, 32, 42, 52], id="nothing measured: ten seconds"),
        # A start took 10 s. Three are over at 33, so 7 are left; at 40 it is overdue: a whole one.
        pytest.param(
            [1.5, 30.0, 33.0], Script((1.0, 1), (20.0, 0), (31.0, 1)), 0, [1, 30, 33, 40, 50], id="the rest of a wake"
        ),
        # Before the first has left the hold, as long as the oldest has waited.
        pytest.param([1.0, 1.5, 2.0], Script(), 1, [1, 1, 2, 3, 5, 9, 17], id="nobody has left the hold"),
        # The second left it after 9.5 s at 11, so with one who waits it takes 9.5 s.
        pytest.param([1.0, 1.5, 17.0, 18.0], Script(), 1, [1, 1, 17, 18, 28], id="at the rate at which they leave"),
        # Two mean durations, of which nothing is known but that they are a second.
        pytest.param([1.0, 1.5, 2.0], Script(in_path=False), 1, [1, 1, 2, 4, 6, 8, 10, 12], id="a queue proxy's line"),
    ],
)
def test_who_is_refused_comes_back_when_the_answer_says(
    arrivals: list[float], script: Script, initial: int, attempts: list[int]
) -> None:
    trace = Arrivals(arrivals, [10.0] * len(arrivals))
    retries = Clients(retries=len(attempts))
    clients = _HEEDFUL if attempts[-1] == 52 else retries
    run(trace, script, clients=clients, hold=_ONE, queue_requests=1, limit=1, initial=initial)
    assert seconds_of_attempts(script) == attempts


def test_who_does_not_heed_it_comes_back_sooner_and_more_often() -> None:
    trace = Arrivals([1.0, 2.0], [1.0] * 2)
    patient, hasty = Script((20.0, 1)), Script((20.0, 1))
    heeding, _ = run(trace, patient, clients=_HEEDFUL, hold=_ONE)
    not_heeding, _ = run(trace, hasty, clients=Clients(retries=5, heeds_retry_after=False), hold=_ONE)
    assert heeding.attempts < not_heeding.attempts
    assert heeding.outcomes[Outcome.COMPLETED] == 2


def test_who_gave_up_was_told_nothing_and_waits_of_his_own_accord() -> None:
    script = Script()
    run(Arrivals([1.0], [100.0]), script, clients=Clients(timeout=5.0, retries=1, backoff=20.0), initial=1)
    first, second = seconds_of_attempts(script)
    assert first + 5 + 10 <= second <= first + 5 + 31
