"""How long a process that is to end keeps its door open, on virtual time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.notice import QUIET_SECONDS, Notice, idle_patience, until_nobody_comes


def closes_after(notice: Notice, arrivals: list[float]) -> float:
    """Seconds until the door closes, when connections come at `arrivals`."""
    now = 0.0

    async def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    def came() -> int:
        return sum(1 for at in arrivals if at <= now)

    asyncio.run(until_nobody_comes(notice, came, lambda: now, pass_time))
    return now


@pytest.mark.parametrize(
    ("least", "most", "arrivals", "closes"),
    [
        (5.0, 15.0, [], 5.0),
        (0.0, 2.0, [], QUIET_SECONDS),
        (0.0, 0.0, [], 0.0),
        (5.0, 15.0, [1.0, 2.0], 5.0),
        (5.0, 15.0, [4.875], 5.25),
        (1.0, 2.0, [n / 8 for n in range(100)], 2.0),
    ],
)
def test_the_door_closes_when_nobody_comes_any_more(
    least: float, most: float, arrivals: list[float], closes: float
) -> None:
    assert closes_after(Notice(least, most), arrivals) == pytest.approx(closes)


@given(
    least=st.floats(0, 10),
    longer=st.floats(0, 10),
    arrivals=st.lists(st.floats(0, 30), max_size=50),
)
def test_the_door_is_open_for_the_least_time_and_closed_after_the_most(
    least: float, longer: float, arrivals: list[float]
) -> None:
    closed = closes_after(Notice(least, least + longer), arrivals)
    assert least - 1e-6 <= closed <= least + longer + 1e-6


@pytest.mark.parametrize(("noticed", "patience"), [(0.0, 5.0), (0.25, 4.75), (4.0, 1.0), (15.0, 1.0)])
def test_an_idle_client_has_five_seconds_since_the_order_to_end_and_one_in_any_case(
    noticed: float, patience: float
) -> None:
    assert idle_patience(noticed) == pytest.approx(patience)
