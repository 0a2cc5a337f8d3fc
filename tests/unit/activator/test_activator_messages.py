"""Routes and StatsPush: they survive the way through JSON, and nothing that is not one is believed."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.messages import (
    Endpoint,
    EndpointState,
    HoldBounds,
    Precedence,
    Route,
    Routes,
    StatsPush,
    Timeouts,
    parse_routes,
    parse_stats_push,
)
from queue_proxy.measurement import HISTORY_SECONDS
from queue_proxy.messages import MessageError, Stats

names = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=20)
ports = st.integers(0, 65_535)
seconds = st.floats(0, 1e9, allow_nan=False)
counts = st.integers(0, 2**40)
endpoints = st.builds(
    Endpoint, name=names, host=names, port=ports, admin_port=ports, state=st.sampled_from(EndpointState)
)
routes = st.builds(
    Route,
    service=names,
    port=ports,
    endpoints=st.lists(endpoints, max_size=3).map(tuple),
    endpoint_capacity=counts,
    hold=st.builds(HoldBounds, requests=counts, bytes=counts, no_endpoint_seconds=seconds, full_seconds=seconds),
    timeouts=st.builds(Timeouts, total=seconds, response_start=seconds, idle=seconds),
    expected_wake_seconds=st.none() | seconds,
    precedence=st.builds(
        Precedence, priority_header=st.booleans(), tenant_header=st.sampled_from(["", "x-tenant", "authorization"])
    ),
    in_path=st.booleans(),
    history_seconds=counts,
)
tables = st.builds(
    Routes,
    epoch=names,
    version=counts,
    routes=st.lists(routes, max_size=3, unique_by=lambda route: route.service).map(tuple),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(table=tables)
def test_a_table_survives_the_way_through_json(table: Routes) -> None:
    assert parse_routes(json.loads(json.dumps(table.to_json()))) == table


@given(body=json_values)
def test_whatever_comes_is_a_table_or_a_message_error(body: object) -> None:
    with pytest.raises(MessageError):
        parse_routes(body)


def test_a_push_survives_the_way_through_json() -> None:
    push = StatsPush(True, {"default/chat": Stats(source="activator/one", epoch="e", at=3.5, waiting=2)})
    assert parse_stats_push(json.loads(json.dumps(push.to_json()))) == push
    less = StatsPush(False, push.services, 4.5, ("default/gone",))
    assert parse_stats_push(json.loads(json.dumps(less.to_json()))) == less


GOOD = Routes(
    "e",
    1,
    (
        Route(
            "default/chat",
            80,
            (Endpoint("chat-0", "127.0.0.1", 9_000, 9_001, EndpointState.READY),),
            4,
            HoldBounds(10, 10, 1.0, 1.0),
            Timeouts(0.0, 0.0, 0.0),
            None,
        ),
    ),
).to_json()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("version",), -1, "version"),
        (("version",), True, "version"),
        (("epoch",), "", "epoch"),
        (("routes",), {}, "routes"),
        (("routes", 0), None, "a route"),
        (("routes", 0, "service"), "a\nb", "service"),
        (("routes", 0, "port"), 65_536, "port"),
        (("routes", 0, "port"), "80", "port"),
        (("routes", 0, "endpoint_capacity"), 1.5, "endpoint_capacity"),
        (("routes", 0, "hold"), None, "hold"),
        (("routes", 0, "hold", "no_endpoint_seconds"), math.nan, "no_endpoint_seconds"),
        (("routes", 0, "hold", "full_seconds"), math.inf, "full_seconds"),
        (("routes", 0, "timeouts", "idle"), -0.1, "idle"),
        (("routes", 0, "precedence", "priority_header"), "on", "priority_header"),
        (("routes", 0, "precedence", "tenant_header"), "X Tenant", "tenant_header"),
        (("routes", 0, "precedence", "tenant_header"), None, "tenant_header"),
        (("routes", 0, "in_path"), 1, "in_path"),
        (("routes", 0, "expected_wake_seconds"), "soon", "expected_wake_seconds"),
        (("routes", 0, "endpoints", 0, "state"), "asleep", "starting, ready, draining"),
        (("routes", 0, "endpoints", 0, "state"), [], "state"),
        (("routes", 0, "endpoints", 0, "host"), 7, "host"),
        (("routes", 0, "endpoints", 0, "admin_port"), -1, "admin_port"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[str | int, ...], value: object, says: str) -> None:
    body = json.loads(json.dumps(GOOD))
    assert parse_routes(body).version == 1
    parent = body
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    with pytest.raises(MessageError, match=says):
        parse_routes(body)


def test_a_table_of_an_older_controller_has_no_precedence() -> None:
    body = json.loads(json.dumps(GOOD))
    del body["routes"][0]["precedence"]
    assert parse_routes(body).routes[0].precedence == Precedence()


def test_an_older_controller_leaves_the_activator_in_the_path() -> None:
    body = json.loads(json.dumps(GOOD))
    del body["routes"][0]["in_path"]
    assert parse_routes(body).routes[0].in_path


def test_an_older_controller_is_told_all_the_past_there_is() -> None:
    body = json.loads(json.dumps(GOOD))
    del body["routes"][0]["history_seconds"]
    assert parse_routes(body).routes[0].history_seconds == HISTORY_SECONDS


def test_a_service_listed_twice_is_refused() -> None:
    body = json.loads(json.dumps(GOOD))
    body["routes"] *= 2
    with pytest.raises(MessageError, match="twice"):
        parse_routes(body)
