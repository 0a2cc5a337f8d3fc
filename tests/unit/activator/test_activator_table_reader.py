"""Reading tables: what is as before is the same object."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from activator.messages import Endpoint, EndpointState, HoldBounds, Route, Routes, Timeouts
from activator.table_reader import TableReader
from queue_proxy.messages import MessageError

ENDPOINT = Endpoint("chat-0", "10.0.0.7", 8012, 8022, EndpointState.READY)
CHAT = Route("default/chat", 10_000, (ENDPOINT,), 4, HoldBounds(10, 1_000, 60.0, 30.0), Timeouts(0.0, 0.0, 0.0), 3.5)
CODE = replace(CHAT, service="default/code", port=10_001)


def table(version: int, *routes: Route) -> str:
    return json.dumps(Routes("e", version, routes).to_json())


def test_a_route_that_is_as_before_is_the_same_object_and_one_that_changed_is_read_anew() -> None:
    reader = TableReader()
    first = reader.read(table(1, CHAT, CODE))
    second = reader.read(table(2, CHAT, replace(CODE, in_path=False)))
    assert second.routes[0] is first.routes[0]
    assert second.routes == (CHAT, replace(CODE, in_path=False))
    assert reader.read(table(3, CODE)).routes == (CODE,)


@pytest.mark.parametrize("text", ["{", b"{}", "[]", '{"routes": [7]}', '{"routes": [{"service": ["x"]}]}'])
def test_what_is_no_table_is_refused_and_the_last_one_is_still_known(text: object) -> None:
    reader = TableReader()
    first = reader.read(table(1, CHAT))
    with pytest.raises(MessageError):
        reader.read(text)
    assert reader.read(table(2, CHAT)).routes[0] is first.routes[0]


def test_a_service_that_is_listed_twice_is_refused() -> None:
    with pytest.raises(MessageError, match="listed twice"):
        TableReader().read(table(1, CHAT, CHAT))
