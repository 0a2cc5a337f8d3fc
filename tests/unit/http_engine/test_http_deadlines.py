"""Deadlines: asked in time, not too often, and cheap to forget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http.deadlines import NEVER, TICK, Deadlines


class Owner:
    def __init__(self, until: float = NEVER) -> None:
        self.bucket = 0
        self.until = until
        self.asked: list[float] = []

    def expire(self, now: float) -> float:
        self.asked.append(now)
        return NEVER if now >= self.until else self.until


@given(st.lists(st.floats(0.2, 50), min_size=1, max_size=20))
def test_everybody_is_asked_once_and_in_time(times: list[float]) -> None:
    deadlines = Deadlines()
    owners = [Owner(at) for at in times]
    for owner in owners:
        deadlines.schedule(owner, owner.until)
    now = 0.0
    while now < 52:
        now += TICK
        deadlines.sweep(now)
    for owner in owners:
        assert owner.asked[-1] >= owner.until
        assert owner.asked[-1] <= owner.until + 2 * TICK + 1e-6
        assert len(owner.asked) <= 2
    assert not deadlines._buckets


def test_an_earlier_appointment_stays_and_a_later_one_moves_forward() -> None:
    deadlines = Deadlines()
    owner = Owner(5.0)
    deadlines.schedule(owner, 5.0)
    deadlines.schedule(owner, 20.0)
    deadlines.schedule(owner, 3.0)
    deadlines.sweep(3.0)
    assert owner.asked == [3.0]
    deadlines.sweep(5.0)
    assert owner.asked == [3.0, 5.0]
    deadlines.sweep(100.0)
    assert len(owner.asked) == 2


def test_who_is_forgotten_is_not_asked() -> None:
    deadlines = Deadlines()
    owner = Owner()
    deadlines.schedule(owner, 1.0)
    deadlines.forget(owner)
    deadlines.forget(owner)
    deadlines.sweep(10.0)
    assert owner.asked == []


def test_a_clock_that_jumps_opens_every_bucket_between() -> None:
    deadlines = Deadlines()
    owners = [Owner(float(at)) for at in range(1, 100)]
    for owner in owners:
        deadlines.schedule(owner, owner.until)
    deadlines.sweep(1e6)
    assert all(len(owner.asked) == 1 for owner in owners)
