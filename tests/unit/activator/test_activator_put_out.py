"""What may wait is bounded, in one hold and in all of them, and who makes room when no more may."""

from __future__ import annotations

import pytest

from activator.budget import Budget
from activator.hold import Hold
from activator.lines import Band
from activator.messages import HoldBounds
from activator.tickets import Cause, Held, Refused
from tests.unit.activator.hold_builders import Places


def bounds(requests: int = 1_000, size: int = 10**9) -> HoldBounds:
    return HoldBounds(requests=requests, bytes=size, no_endpoint_seconds=60.0, full_seconds=60.0)


def test_a_full_hold_puts_out_the_newest_of_the_tenant_with_most_for_one_with_less() -> None:
    hold: Hold[str, str] = Hold(Places(any_ready=True), bounds(requests=4), 0.0)
    for name in ("a1", "a2", "a3", "b1"):
        hold.arrive(0.0, name, 0, tenant=name[:1].encode())
    assert isinstance(hold.arrive(0.0, "a4", 0, tenant=b"a"), Refused)
    assert isinstance(hold.arrive(0.0, "b2", 0, tenant=b"b"), Held)
    refused = hold.put_out()
    assert refused is not None
    assert (refused.ticket.waiter, refused.cause) == ("a3", Cause.PUT_OUT)
    assert hold.put_out() is None
    assert len(hold) == 4
    # Two each: now neither puts out the other, in turn and for ever.
    assert isinstance(hold.arrive(0.0, "a5", 0, tenant=b"a"), Refused)
    assert isinstance(hold.arrive(0.0, "b3", 0, tenant=b"b"), Refused)


def test_nobody_is_put_out_for_one_whose_line_would_then_be_as_long() -> None:
    hold: Hold[str, str] = Hold(Places(any_ready=True), bounds(requests=3), 0.0)
    for name in ("a1", "a2", "b1"):
        hold.arrive(0.0, name, 0, tenant=name[:1].encode())
    assert isinstance(hold.arrive(0.0, "b2", 0, tenant=b"b"), Refused)
    assert isinstance(hold.arrive(0.0, "c1", 0, tenant=b"c"), Held)


def test_a_full_hold_puts_out_a_lower_priority_for_a_higher_and_never_the_other_way() -> None:
    hold: Hold[str, str] = Hold(Places(any_ready=True), bounds(requests=2), 0.0)
    hold.arrive(0.0, "low", 0, Band.LOW)
    hold.arrive(0.0, "high", 0, Band.HIGH)
    assert isinstance(hold.arrive(0.0, "low again", 0, Band.LOW), Refused)
    assert isinstance(hold.arrive(0.0, "normal", 0, Band.NORMAL), Held)
    refused = hold.put_out()
    assert refused is not None
    assert refused.ticket.waiter == "low"
    assert isinstance(hold.arrive(0.0, "normal again", 0, Band.NORMAL), Refused)


def test_nobody_is_put_out_for_whom_there_would_be_no_room_even_then() -> None:
    hold: Hold[str, str] = Hold(Places(any_ready=True), bounds(size=100), 0.0)
    hold.arrive(0.0, "low", 40, Band.LOW)
    hold.arrive(0.0, "also low", 40, Band.LOW)
    assert isinstance(hold.arrive(0.0, "high", 90, Band.HIGH), Refused)
    assert hold.put_out() is None
    assert len(hold) == 2


def test_who_is_put_out_takes_its_bytes_along() -> None:
    hold: Hold[str, str] = Hold(Places(any_ready=True), bounds(size=100), 0.0)
    hold.arrive(0.0, "low", 80, Band.LOW)
    assert isinstance(hold.arrive(0.0, "high", 90, Band.HIGH), Held)
    refused = hold.put_out()
    assert refused is not None
    assert refused.ticket.waiter == "low"
    assert hold.bytes == 90


@pytest.mark.parametrize("budget", [Budget(1, 1_000), Budget(100, 100)], ids=["requests", "bytes"])
def test_one_is_put_out_as_well_where_all_holds_together_are_full(budget: Budget) -> None:
    hold: Hold[str, str] = Hold(Places(any_ready=True), bounds(), 0.0, budget)
    hold.arrive(0.0, "low", 80, Band.LOW)
    assert isinstance(hold.arrive(0.0, "high", 90, Band.HIGH), Held)
    assert hold.put_out() is not None
    assert (budget.requests, budget.size) == (1, 90)


@pytest.mark.parametrize(
    ("budget", "cause"),
    [
        (Budget(3, 1_000), Cause.TOO_MANY_WAITING_OVER_ALL),
        (Budget(100, 30), Cause.TOO_MANY_BYTES_WAITING_OVER_ALL),
    ],
)
def test_all_holds_together_keep_to_what_the_activator_has(budget: Budget, cause: Cause) -> None:
    holds: list[Hold[str, str]] = [Hold(Places(any_ready=True), bounds(), 0.0, budget) for _ in range(2)]
    for hold in (holds[0], holds[1], holds[0]):
        assert isinstance(hold.arrive(0.0, "x", 10), Held)
    refused = holds[1].arrive(0.0, "late", 10)
    assert isinstance(refused, Refused)
    assert refused.cause is cause
    released = holds[0].dismiss(1.0)
    assert released is not None
    assert isinstance(holds[1].arrive(1.0, "later", 10), Held)
    assert (budget.requests, budget.size) == (3, 30)
