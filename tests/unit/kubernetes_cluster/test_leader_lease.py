"""The rules of the lease: who may bid, when, and until when whoever won may act."""

from __future__ import annotations

import pytest

from autoscaler.cluster.kubernetes.lease import Candidate, LeaseRecord, LeaseSettings, lease_record

SETTINGS = LeaseSettings()
WALL = 1_800_000_000.0


def held_by(holder: str, renewed: str = "2026-11-21T10:00:00.000000Z", duration: int = 5) -> LeaseRecord:
    return LeaseRecord(holder, duration, "2026-11-21T09:00:00.000000Z", renewed, 3, version="7")


def candidate(name: str = "b") -> Candidate:
    return Candidate(name, SETTINGS)


def test_a_lease_that_does_not_exist_is_made() -> None:
    one = candidate()
    one.see(None, 0.0)
    bid = one.bid(0.0, WALL)
    assert bid is not None
    assert (bid.holder, bid.duration, bid.transitions, bid.version) == ("b", 5, 0, "")


def test_a_lease_that_is_seen_for_the_first_time_is_valid_however_old_it_says_it_is() -> None:
    one = candidate()
    one.see(held_by("a", renewed="1999-01-01T00:00:00.000000Z"), 100.0)
    assert one.bid(104.9, WALL) is None
    assert one.bid(105.0, WALL) is not None


def test_a_holder_whose_clock_is_years_ahead_does_not_keep_it_any_longer() -> None:
    one = candidate()
    one.see(held_by("a", renewed="2099-01-01T00:00:00.000000Z"), 100.0)
    assert one.bid(105.0, WALL) is not None


def test_every_renewal_that_is_seen_begins_the_wait_anew() -> None:
    one = candidate()
    one.see(held_by("a", renewed="2026-11-21T10:00:00.000000Z"), 100.0)
    one.see(held_by("a", renewed="2026-11-21T10:00:01.000000Z"), 104.0)
    assert one.bid(108.9, WALL) is None
    one.see(held_by("a", renewed="2026-11-21T10:00:01.000000Z"), 108.9)
    assert one.bid(109.0, WALL) is not None


def test_a_version_that_changed_without_a_renewal_is_no_sign_of_life() -> None:
    one = candidate()
    one.see(held_by("a"), 100.0)
    labelled = LeaseRecord(**{**{f: getattr(held_by("a"), f) for f in LeaseRecord.__slots__}, "version": "8"})
    one.see(labelled, 104.0)
    bid = one.bid(105.0, WALL)
    assert bid is not None
    assert bid.version == "8"


def test_what_the_record_says_of_its_validity_counts_not_what_we_would_say() -> None:
    one = candidate()
    one.see(held_by("a", duration=60), 0.0)
    assert one.bid(59.0, WALL) is None


def test_a_lease_that_was_given_up_is_taken_at_once_and_counted() -> None:
    one = candidate()
    one.see(held_by(""), 100.0)
    bid = one.bid(100.0, WALL)
    assert bid is not None
    assert (bid.holder, bid.transitions, bid.version) == ("b", 4, "7")


def test_a_renewal_keeps_when_it_was_acquired_and_counts_no_transition() -> None:
    one = candidate()
    one.see(held_by("b"), 0.0)
    bid = one.bid(0.0, WALL)
    assert bid is not None
    assert (bid.acquired, bid.transitions) == ("2026-11-21T09:00:00.000000Z", 3)
    assert bid.renewed == "2027-01-15T08:00:00.000000Z"


def test_whoever_won_may_act_from_when_it_asked_for_the_renew_deadline() -> None:
    one = candidate()
    one.see(None, 9.0)
    assert one.acts_until() < 0.0
    one.won(held_by("b"), 10.0)
    assert one.acts_until() == 13.0


def test_whoever_resigns_may_act_no_longer_and_leaves_nobody_in_it() -> None:
    one = candidate()
    one.won(held_by("b"), 10.0)
    left = one.resign()
    assert left is not None
    assert (left.holder, left.duration, left.version) == ("", 1, "7")
    assert one.acts_until() < 0.0


def test_whoever_does_not_hold_it_has_nothing_to_give_up() -> None:
    one = candidate()
    one.see(held_by("a"), 0.0)
    assert one.resign() is None


def test_a_record_survives_the_way_through_json() -> None:
    record = held_by("a")
    body = {**record.body("system", "controller")}
    assert lease_record(body) == record


@pytest.mark.parametrize("spec", [{}, {"spec": None}, {"spec": {"holderIdentity": None, "leaseDurationSeconds": "x"}}])
def test_a_lease_that_names_nobody_is_nobodys(spec: dict[str, object]) -> None:
    one = candidate()
    one.see(lease_record({"metadata": {"resourceVersion": "1"}, **spec}), 0.0)
    assert one.bid(0.0, WALL) is not None


@pytest.mark.parametrize(
    ("duration", "deadline", "retry"), [(5, 5.0, 1.0), (3, 5.0, 1.0), (5, 1.1, 1.0), (5, 3.0, 0.0)]
)
def test_settings_under_which_two_could_lead_are_refused(duration: int, deadline: float, retry: float) -> None:
    with pytest.raises(ValueError, match="a lease needs"):
        LeaseSettings(duration, deadline, retry)
