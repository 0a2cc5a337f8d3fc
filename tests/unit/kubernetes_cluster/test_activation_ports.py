"""Activator ports: never two alike, and the same again after every restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.cluster.kubernetes.ports import PortBook, PortRange, PortsExhaustedError

FEW = PortRange(10_000, 10_019)
services = st.integers(0, 400).map(lambda number: f"default/model-{number}")


@given(names=st.lists(services, unique=True, max_size=20))
def test_no_two_services_have_the_same_port_and_all_are_within_the_range(names: list[str]) -> None:
    book = PortBook(FEW)
    ports = [book.allot(name) for name in names]
    assert len(set(ports)) == len(names)
    assert all(port in FEW for port in ports)
    assert dict(book.ports) == dict(zip(names, ports, strict=True))


@given(
    names=st.lists(services, unique=True, max_size=20),
    left=st.data(),
)
def test_what_was_recorded_is_the_same_after_a_restart_in_any_order(names: list[str], left: st.DataObject) -> None:
    before = PortBook(FEW)
    for name in names:
        before.allot(name)
    gone = left.draw(st.sets(st.sampled_from(names))) if names else set()
    recorded = [(name, port) for name, port in before.ports.items() if name not in gone]
    after = PortBook(FEW)
    for name, port in left.draw(st.permutations(recorded)):
        assert after.record(name, port, "2026-11-21T10:00:00Z") is None
    for name, port in left.draw(st.permutations(recorded)):
        assert after.allot(name) == port


@given(
    records=st.lists(
        st.tuples(services, st.integers(10_000, 10_005), st.integers(0, 3)), unique_by=lambda record: record[0]
    ),
    order=st.data(),
)
def test_of_several_records_of_one_port_the_oldest_stands_whatever_the_order(
    records: list[tuple[str, int, int]], order: st.DataObject
) -> None:
    outcomes = []
    for shuffled in (records, order.draw(st.permutations(records))):
        book = PortBook(FEW)
        for name, port, since in shuffled:
            book.record(name, port, f"2026-11-21T10:00:0{since}Z")
        outcomes.append(dict(book.ports))
    assert outcomes[0] == outcomes[1]
    for port in {port for _, port, _ in records}:
        oldest = min((since, name) for name, recorded, since in records if recorded == port)
        assert outcomes[0][oldest[1]] == port


def test_who_loses_a_port_is_named_and_gets_another() -> None:
    book = PortBook(FEW)
    assert book.record("default/late", 10_003, "2026-11-21T10:00:01Z") is None
    assert book.record("default/early", 10_003, "2026-11-21T10:00:00Z") == "default/late"
    assert book.record("default/later", 10_003, "2026-11-21T10:00:02Z") == "default/later"
    assert book.allot("default/late") != 10_003
    assert book.allot("default/early") == 10_003


def test_a_record_outside_of_the_range_is_as_good_as_none() -> None:
    book = PortBook(FEW)
    assert book.record("default/chat", 80, "2026-11-21T10:00:00Z") == "default/chat"
    assert book.allot("default/chat") in FEW


def test_what_was_allotted_and_not_recorded_gives_way_to_a_record() -> None:
    book = PortBook(FEW)
    port = book.allot("default/new")
    assert book.record("default/known", port, "2026-11-21T10:00:00Z") == "default/new"
    assert book.allot("default/known") == port


def test_two_slices_of_one_service_are_one_record() -> None:
    book = PortBook(FEW)
    assert book.record("default/chat", 10_001, "2026-11-21T10:00:00Z") is None
    assert book.record("default/chat", 10_001, "2026-11-21T10:00:05Z") is None
    assert book.record("default/other", 10_001, "2026-11-21T10:00:03Z") == "default/other"


def test_a_service_that_comes_back_gets_its_port_again_when_nobody_has_it() -> None:
    book = PortBook(PortRange())
    port = book.allot("default/chat")
    book.forget("default/chat")
    book.allot("default/other")
    assert book.allot("default/chat") == port


def test_when_all_are_taken_the_range_is_named() -> None:
    book = PortBook(FEW)
    for number in range(20):
        book.allot(f"default/{number}")
    with pytest.raises(
        PortsExhaustedError, match=r"default/one-more: all 20 activator ports, 10000 to 10019, are taken"
    ):
        book.allot("default/one-more")


@pytest.mark.parametrize(("first", "last"), [(0, 10), (1_023, 2_000), (2_000, 1_999), (2_000, 65_536)])
def test_a_range_that_is_none_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="a range of ports"):
        PortRange(first, last)


def test_ten_thousand_services_are_allotted_without_long_searches() -> None:
    book = PortBook(PortRange())
    assert len({book.allot(f"team-{number % 50}/model-{number}") for number in range(10_000)}) == 10_000
