"""Our slices: what is read of a Service, of a slice, of activators' pods, and what is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.cluster.kubernetes.activator_pods import ActivatorPod, activator_pod_of, activators_of
from autoscaler.cluster.kubernetes.facts import ServiceFacts, ServicePort
from autoscaler.cluster.kubernetes.json_object import inner, objects
from autoscaler.cluster.kubernetes.slices import Endpoint, LedPort, Target, Wanted, slice_of, target_of

HTTP = ServicePort("chat-predictor", 80, "8012", "TCP", "")
SERVICE = ServiceFacts("default", "chat-predictor", "chat", "uid-1", False, (HTTP,), ("IPv4",))
TARGET = Target("chat-predictor", "uid-1", (LedPort("chat-predictor"),), ("IPv4",))
ONE = Endpoint("10.1.0.1", "node-1")
WANTED = Wanted("default/chat", TARGET, "IPv4", 12_345, (ONE,), 7, '{"target":7.0}')


def test_the_first_port_is_led_under_its_own_name() -> None:
    assert target_of(SERVICE) == TARGET


def test_ports_that_lead_elsewhere_than_the_first_are_not_led() -> None:
    same = ServicePort("h2c", 81, "8012", "TCP", "kubernetes.io/h2c")
    elsewhere = ServicePort("metrics", 9_090, "9090", "TCP", "")
    other = ServicePort("quic", 82, "8012", "UDP", "")
    ports = target_of(replace(SERVICE, ports=(other, HTTP, elsewhere, same))).ports
    assert ports == (LedPort("chat-predictor"), LedPort("h2c", "kubernetes.io/h2c"))


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (replace(SERVICE, headless=True), "no address of its own"),
        (replace(SERVICE, ports=()), "no TCP port"),
        (replace(SERVICE, ports=(replace(HTTP, protocol="UDP"),)), "no TCP port"),
    ],
)
def test_a_service_in_whose_place_nobody_can_stand_is_refused_with_the_reason(service: ServiceFacts, says: str) -> None:
    assert says in target_of(service).problem


def test_what_is_written_reads_back_as_what_was_wanted() -> None:
    facts = slice_of(WANTED.body())
    assert facts is not None
    assert WANTED.said_by(facts)
    assert facts.service == "default/chat"
    assert (facts.port, facts.ready_generation, facts.policy) == (12_345, 7, '{"target":7.0}')


def test_a_fallback_is_an_endpoint_that_is_ending_and_still_serves() -> None:
    wanted = replace(WANTED, endpoints=(), fallback=WANTED.endpoints)
    body = wanted.body()
    assert [inner(endpoint, "conditions") for endpoint in objects(body, "endpoints")] == [
        {"ready": False, "serving": True, "terminating": True}
    ]
    facts = slice_of(body)
    assert facts is not None
    assert wanted.said_by(facts)
    assert (facts.endpoints, facts.fallback) == ((), WANTED.endpoints)


def test_a_slice_carries_none_of_kserves_labels_and_belongs_to_the_service() -> None:
    metadata = inner(WANTED.body("7"), "metadata")
    assert set(inner(metadata, "labels")) == {"kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"}
    assert metadata["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Service", "name": "chat-predictor", "uid": "uid-1"}
    ]
    assert metadata["resourceVersion"] == "7"


def test_an_unnamed_port_is_written_unnamed() -> None:
    unnamed = replace(WANTED, target=replace(TARGET, ports=(LedPort(""),)))
    assert unnamed.body()["ports"] == [{"name": "", "port": 12_345, "protocol": "TCP"}]
    facts = slice_of(unnamed.body())
    assert facts is not None
    assert unnamed.said_by(facts)


@pytest.mark.parametrize(
    "other",
    [
        replace(WANTED, endpoints=()),
        replace(WANTED, endpoints=(), fallback=WANTED.endpoints),
        replace(WANTED, endpoints=(Endpoint("10.1.0.2", "node-1"),)),
        replace(WANTED, endpoints=(Endpoint("10.1.0.1", "node-2"),)),
        replace(WANTED, port=12_346),
        replace(WANTED, ready_generation=8),
        replace(WANTED, policy="{}"),
        replace(WANTED, target=replace(TARGET, uid="uid-2")),
        replace(WANTED, target=replace(TARGET, name="chat-v2-predictor")),
        replace(WANTED, target=replace(TARGET, ports=(LedPort("http"),))),
        replace(WANTED, target=replace(TARGET, ports=(LedPort("chat-predictor", "kubernetes.io/h2c"),))),
    ],
)
def test_whatever_is_other_than_written_has_to_be_written(other: Wanted) -> None:
    facts = slice_of(WANTED.body())
    assert facts is not None
    assert not other.said_by(facts)


@pytest.mark.parametrize("strip", ["labels", "annotations"])
def test_a_slice_of_somebody_else_is_none_of_ours(strip: str) -> None:
    body = dict(WANTED.body())
    body["metadata"] = {name: value for name, value in inner(body, "metadata").items() if name != strip}
    assert slice_of(body) is None


def test_the_slice_of_a_second_family_has_a_name_of_its_own() -> None:
    both = replace(TARGET, families=("IPv6", "IPv4"))
    assert replace(WANTED, target=both, family="IPv6").name == "chat-pilotlight"
    assert replace(WANTED, target=both, family="IPv4").name == "chat-pilotlight-ipv4"


def pod(name: str, *, ready: bool = True, ending: bool = False, addresses: tuple[str, ...] = ()) -> ActivatorPod:
    return ActivatorPod(name, "node-1", addresses or (f"10.1.0.{name}",), ready, ending)


def test_ready_activators_are_named_in_a_fixed_order_and_nobody_else() -> None:
    activators = activators_of([pod("2"), pod("1"), pod("3", ready=False), pod("4", ending=True)])
    assert [endpoint.address for endpoint in activators.endpoints] == ["10.1.0.1", "10.1.0.2"]
    assert activators.ready == {"10.1.0.1", "10.1.0.2"}


def test_where_none_is_ready_those_that_exist_are_named_but_not_believed() -> None:
    activators = activators_of([pod("1", ready=False), pod("2", ready=False, ending=True)])
    assert [endpoint.address for endpoint in activators.endpoints] == ["10.1.0.1"]
    assert activators.ready == frozenset()


def test_where_all_were_told_to_end_those_that_still_take_connections_are_named_until_others_are_ready() -> None:
    ending = [pod("1", ready=False, ending=True), pod("2", ready=False, ending=True)]
    starting = pod("3", ready=False)
    activators = activators_of([*ending, starting], still_open={"1", "2"})
    assert [endpoint.address for endpoint in activators.endpoints] == ["10.1.0.1", "10.1.0.2"]
    assert activators.ready == frozenset(), "nothing is put to sleep on their account"
    assert [e.address for e in activators_of([*ending, starting], still_open={"2"}).endpoints] == ["10.1.0.2"]
    assert [e.address for e in activators_of([*ending, starting]).endpoints] == ["10.1.0.3"]
    assert [e.address for e in activators_of([*ending, pod("3")], still_open={"1", "2"}).endpoints] == ["10.1.0.3"]


def test_each_family_gets_the_addresses_of_its_own() -> None:
    activators = activators_of([pod("1", addresses=("10.1.0.1", "fd00::1"))])
    assert activators.of_family("IPv6") == (Endpoint("fd00::1", "node-1"),)
    assert activators.of_family("IPv4") == (ONE,)


@pytest.mark.parametrize(
    ("change", "ready", "ending", "over"),
    [
        ({}, True, False, False),
        ({"status": {"podIP": "10.1.0.1"}}, False, False, False),
        ({"metadata": {"name": "a", "deletionTimestamp": "2026-11-21T10:00:00Z"}}, True, True, False),
        ({"status": {"podIP": "10.1.0.1", "phase": "Failed"}}, False, False, True),
    ],
)
def test_what_a_pod_says_of_itself(change: dict[str, object], ready: bool, ending: bool, over: bool) -> None:
    body = {
        "metadata": {"name": "a"},
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "podIP": "10.1.0.1",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}],
        },
    }
    read = activator_pod_of({**body, **change})
    assert (read.ready, read.ending, read.over, read.addresses) == (ready, ending, over, ("10.1.0.1",))
