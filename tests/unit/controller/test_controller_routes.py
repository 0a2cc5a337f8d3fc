"""What activators are told, and when that is news."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from activator.messages import EndpointState, Precedence, parse_routes
from autoscaler.cluster.interface import ReplicaPhase
from autoscaler.controller.service.routes import RoutingTable, route_for
from autoscaler.decide.decider import seconds_remembered
from autoscaler.policy.parse import read_policy
from autoscaler.policy.scaling_policy import ScalingPolicy
from tests.unit.controller.controller_builders import inference_service, replica, view


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (ReplicaPhase.STARTING, EndpointState.STARTING),
        (ReplicaPhase.READY, EndpointState.READY),
        (ReplicaPhase.DRAINING, EndpointState.DRAINING),
    ],
)
def test_a_replica_with_an_address_is_an_endpoint(phase: ReplicaPhase, state: EndpointState) -> None:
    (endpoint,) = route_for(view(replica("a", phase)), ScalingPolicy(), None).endpoints
    assert (endpoint.name, endpoint.host, endpoint.port, endpoint.admin_port) == ("a", "127.0.0.1", 8_000, 9_000)
    assert endpoint.state is state


@pytest.mark.parametrize("phase", [ReplicaPhase.PENDING, ReplicaPhase.FAILED])
def test_what_cannot_serve_is_no_endpoint(phase: ReplicaPhase) -> None:
    assert route_for(view(replica("a", phase)), ScalingPolicy(), None).endpoints == ()


def test_a_replica_without_an_address_is_no_endpoint() -> None:
    assert route_for(view(replica("a", ReplicaPhase.STARTING, admin_port=None)), ScalingPolicy(), None).endpoints == ()


def test_as_much_of_the_past_is_asked_for_as_the_windows_hold() -> None:
    policy = ScalingPolicy(stable_window_seconds=30.0)
    assert route_for(view(), policy, None).history_seconds == seconds_remembered(policy)


def test_an_endpoint_takes_its_hard_limit_and_no_queue_of_its_own() -> None:
    policy = read_policy(inference_service(predictor={"containerConcurrency": 4}))
    assert route_for(view(), policy, None).endpoint_capacity == 4


def test_bounds_and_timeouts_are_the_policys() -> None:
    policy = read_policy(inference_service(predictor={"timeout": 30}))
    route = route_for(view(), policy, 12.345)
    assert route.timeouts.total == policy.timeouts.total == 30.0
    assert route.hold.requests == policy.hold.requests
    assert route.hold.no_endpoint_seconds == policy.hold.no_endpoint_seconds
    assert route.port == 8_081
    assert route.expected_wake_seconds == 12.3


def test_order_is_the_policys_and_by_age_alone_when_it_says_nothing() -> None:
    assert route_for(view(), ScalingPolicy(), None).precedence == Precedence(False, "")
    policy = read_policy(inference_service(priority_header="on", tenant_header="X-Tenant"))
    assert route_for(view(), policy, None).precedence == Precedence(True, "x-tenant")


def test_the_version_grows_with_every_change_and_only_then() -> None:
    table = RoutingTable("epoch")
    route = route_for(view(replica("a")), ScalingPolicy(), None)
    table.put(route)
    assert table.version == 1
    table.put(route_for(view(replica("a")), ScalingPolicy(), None))
    assert table.version == 1
    table.put(replace(route, endpoint_capacity=2))
    table.remove("default/chat")
    table.remove("default/chat")
    assert table.version == 3
    assert table.routes().routes == ()


def test_an_activator_reads_what_is_sent() -> None:
    table = RoutingTable("epoch")
    for name in ("default/b", "default/a"):
        table.put(route_for(view(replica("a"), service=name), ScalingPolicy(), 3.0))
    routes = table.routes()
    assert [route.service for route in routes.routes] == ["default/a", "default/b"]
    assert parse_routes(json.loads(json.dumps(routes.to_json()))) == routes
