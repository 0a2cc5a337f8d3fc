"""The pure parts of the agent: who goes, when a replica is started again, which ports, and the JSON of views."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.cluster.interface import ClusterError, Replica, ReplicaPhase, ServiceView
from autoscaler.cluster.local.port_range import NoPortError, PortRange, is_free
from autoscaler.cluster.local.restarts import LONGEST_DELAY, failures_after, restart_delay
from autoscaler.cluster.local.scale_plan import plan_scale
from autoscaler.cluster.local.view_codec import parse_views, views_to_json

PENDING, STARTING, READY = ReplicaPhase.PENDING, ReplicaPhase.STARTING, ReplicaPhase.READY
DRAINING, FAILED = ReplicaPhase.DRAINING, ReplicaPhase.FAILED


def replicas(*phases: ReplicaPhase) -> list[Replica]:
    """Named a, b, c …, each younger than the one before."""
    return [Replica(name=chr(97 + age), phase=phase, created_at=float(age)) for age, phase in enumerate(phases)]


@pytest.mark.parametrize(
    ("wanted", "phases", "go_first", "start", "stop"),
    [
        (2, [], [], 2, ""),
        (2, [READY, READY], [], 0, ""),
        (2, [READY, DRAINING], [], 1, ""),
        (2, [READY, FAILED], [], 0, ""),
        (1, [READY, READY, READY], [], 0, "cb"),
        (1, [STARTING, READY, READY], [], 0, "ac"),
        (1, [FAILED, PENDING, STARTING, READY], [], 0, "abc"),
        (2, [READY, READY, READY], ["a"], 0, "a"),
        (1, [READY, READY, READY], ["b", "a"], 0, "ba"),
        (1, [READY, STARTING, READY], ["a", "gone"], 0, "ab"),
        (0, [READY, DRAINING], [], 0, "a"),
    ],
)
def test_who_starts_and_who_goes(
    wanted: int, phases: list[ReplicaPhase], go_first: list[str], start: int, stop: str
) -> None:
    plan = plan_scale(wanted, replicas(*phases), go_first)
    assert (plan.start, "".join(plan.stop)) == (start, stop)


@given(
    st.integers(0, 8), st.lists(st.sampled_from(list(ReplicaPhase)), max_size=8), st.lists(st.sampled_from("abcdefgh"))
)
def test_a_plan_reaches_the_wanted_number_exactly(wanted: int, phases: list[ReplicaPhase], go_first: list[str]) -> None:
    there = replicas(*phases)
    plan = plan_scale(wanted, there, go_first)
    standing = {replica.name for replica in there if replica.phase is not DRAINING}
    assert set(plan.stop) <= standing
    assert len(set(plan.stop)) == len(plan.stop)
    assert len(standing) - len(plan.stop) + plan.start == wanted


def test_the_first_retry_is_at_once_and_later_ones_ever_slower() -> None:
    assert [restart_delay(failures) for failures in range(1, 11)] == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert restart_delay(10_000) == LONGEST_DELAY


@pytest.mark.parametrize(("ready_seconds", "failures"), [(None, 6), (1.0, 6), (59.9, 6), (60.0, 1), (3600.0, 1)])
def test_failures_are_forgotten_after_a_while_of_readiness(ready_seconds: float | None, failures: int) -> None:
    assert failures_after(5, ready_seconds) == failures


def test_ports_are_dealt_once_and_the_next_ones_follow() -> None:
    ports = PortRange(first=20_000, last=20_200)
    first = ports.take(3)
    ports.give_back(first)
    second = ports.take(3)
    assert len(set(first)) == 3
    assert not set(first) & set(second)


def test_a_port_on_which_somebody_listens_is_not_dealt() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert not is_free(other.getsockname()[1])


def test_when_all_ports_are_taken_it_is_said() -> None:
    ports = PortRange(first=20_300, last=20_301)
    with pytest.raises(NoPortError, match="of 2 ports from 20300 on, fewer than 3 are free"):
        ports.take(3)


phases = st.sampled_from(list(ReplicaPhase))
numbers = st.one_of(st.none(), st.integers(1, 65535))
seconds = st.floats(0, 1e10)
replica_views = st.builds(
    Replica,
    st.text(max_size=9),
    phases,
    seconds,
    st.none() | st.text(),
    numbers,
    numbers,
    st.none() | seconds,
    st.none() | st.text(),
)
views = st.builds(
    ServiceView,
    service=st.text(max_size=9),
    inference_service=st.dictionaries(st.text(max_size=3), st.integers()),
    generation=st.integers(0, 9),
    wanted=st.integers(0, 9),
    replicas=st.lists(replica_views, max_size=3).map(tuple),
    activator_in_path=st.booleans(),
    port=st.integers(0, 65535),
)


@given(st.lists(views, max_size=3).map(tuple))
def test_views_survive_the_wire(sent: tuple[ServiceView, ...]) -> None:
    assert parse_views(json.loads(json.dumps(views_to_json(sent)))) == sent


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"services": {}},
        {"services": [1]},
        {"services": [{"service": "a"}]},
        {"services": [{"replicas": 1}]},
    ],
)
def test_what_is_not_a_list_of_services_is_a_cluster_error(body: object) -> None:
    with pytest.raises(ClusterError):
        parse_views(body)
