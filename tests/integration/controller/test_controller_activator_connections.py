"""Activators connect, push, are sent the newest table; whatever else comes is refused and harms nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket as sockets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from activator.messages import Endpoint, EndpointState, HoldBounds, Route, Routes, StatsPush, Timeouts, parse_routes
from tests.integration.controller.controller_links import serving_activators
from tests.unit.controller.controller_builders import CHAT, stats
from tests.until import until


def table(version: int) -> Routes:
    return Routes("epoch", version, ())


def good(waiting: int = 0) -> str:
    return json.dumps(StatsPush(False, {CHAT: stats("activator/a", 10.0, waiting=waiting)}).to_json())


async def test_a_push_arrives_as_it_was_sent() -> None:
    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/activators/a") as socket:
            await socket.send_str(good(waiting=3))
            await until(lambda: bool(told.pushes))
        assert told.pushes[0].services[CHAT].waiting == 3
        await until(lambda: told.events == ["+a", "-a"])


async def test_between_pushes_that_came_at_once_and_within_a_large_one_everything_else_has_its_turn() -> None:
    names = [f"team/model-{number}" for number in range(250)]
    large = StatsPush(False, {name: stats("activator/a", 10.0) for name in names})
    turns, pushed_in = 0, []

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        told.on_push = lambda: pushed_in.append(turns)
        counting = asyncio.create_task(count())
        async with session.ws_connect(f"{url}/activators/a") as socket:
            for _ in range(20):
                await socket.send_str(good())
            await socket.send_str(json.dumps(large.to_json()))
            await until(lambda: len(told.pushes) >= 23)
        counting.cancel()
        assert len(set(pushed_in)) == len(pushed_in) == 23
        assert [name for push in told.pushes[20:] for name in push.services] == names


async def test_one_that_leaves_before_it_is_let_in_is_no_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = web.WebSocketResponse.prepare

    async def prepare_for_nobody(self: web.WebSocketResponse, request: web.BaseRequest) -> object:
        assert request.transport is not None
        request.transport.abort()
        await until(lambda: request.transport is None)
        return await prepare(self, request)

    monkeypatch.setattr(web.WebSocketResponse, "prepare", prepare_for_nobody)
    async with serving_activators() as (connections, told, url), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.ws_connect(f"{url}/activators/a")
        monkeypatch.undo()
        async with session.ws_connect(f"{url}/activators/b"):
            await until(lambda: connections.connected == ("b",))
        assert told.events[0] == "+b"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_one_that_connects_is_sent_the_table_that_is_there() -> None:
    async with serving_activators() as (connections, _, url), aiohttp.ClientSession() as session:
        connections.publish(table(7))
        async with session.ws_connect(f"{url}/activators/a") as socket:
            assert (await socket.receive_json(timeout=30))["version"] == 7


async def test_without_a_table_nothing_is_sent() -> None:
    async with (
        serving_activators() as (connections, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/a") as socket,
    ):
        await until(lambda: told.events == ["+a"])
        connections.publish(table(1))
        assert (await socket.receive_json(timeout=30))["version"] == 1


async def test_every_activator_is_sent_every_new_table() -> None:
    async with (
        serving_activators() as (connections, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/a") as one,
        session.ws_connect(f"{url}/activators/b") as two,
    ):
        await until(lambda: len(told.events) == 2)
        for version in (1, 2):
            connections.publish(table(version))
            assert (await one.receive_json(timeout=30))["version"] == version
            assert (await two.receive_json(timeout=30))["version"] == version


async def test_each_table_says_what_its_routes_say_however_few_have_changed() -> None:
    endpoint = Endpoint("a-1", "10.0.0.1", 8012, 8022, EndpointState.READY)
    hold = HoldBounds(10, 1_000, 60.0, 6.0)
    routes = [Route(f"ns/{name}", port, (), 1, hold, Timeouts(60.0, 0.0, 0.0), None) for port, name in enumerate("abc")]
    tables = [Routes("epoch", version, tuple(some)) for version, some in enumerate((
        routes,
        [routes[0], replace(routes[1], endpoints=(endpoint,)), routes[2]],
        [routes[0], routes[2]],
        [],
        routes,
    ))]  # fmt: skip
    async with (
        serving_activators() as (connections, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/a") as socket,
    ):
        await until(lambda: bool(told.events))
        for each in tables:
            connections.publish(each)
            assert parse_routes(await socket.receive_json(timeout=30)) == each


async def test_after_a_message_that_cannot_be_read_nobody_is_taken_to_be_as_before() -> None:
    async with (
        serving_activators() as (_, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/a") as socket,
    ):
        still = json.dumps(StatsPush(False, {}, still_at=11.0).to_json())
        for message in (good(), still, "what?", still):
            await socket.send_str(message)
        await until(lambda: len(told.pushes) == 3)
    assert [list(push.services) for push in told.pushes] == [[CHAT], [CHAT], []]
    assert told.pushes[1].services[CHAT].at == 11.0


async def test_tables_that_were_overtaken_are_not_sent() -> None:
    async with (
        serving_activators() as (connections, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/a") as socket,
    ):
        await until(lambda: told.events == ["+a"])
        for version in range(1, 100):
            connections.publish(table(version))
        assert (await socket.receive_json(timeout=30))["version"] == 99


async def test_a_name_that_connects_again_replaces_its_older_connection() -> None:
    async with (
        serving_activators() as (connections, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/a") as old,
    ):
        await until(lambda: told.events == ["+a"])
        async with session.ws_connect(f"{url}/activators/a") as new:
            message = await old.receive(timeout=30)
            assert message.type is aiohttp.WSMsgType.CLOSE
            connections.publish(table(1))
            assert (await new.receive_json(timeout=30))["version"] == 1
            assert connections.connected == ("a",)
            assert told.events == ["+a"], "it was never gone"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "not JSON",
        "[]",
        "{}",
        '{"services": []}',
        '{"services": {"default/chat": {"source": "a"}}}',
        good().replace("10.0", "NaN"),
        good().replace("10.0", "-1"),
        good().replace("10.0", "1e999"),
        good().replace('"waiting": 0', '"waiting": 9223372036854775808'),
        good().replace('"waiting": 0', '"waiting": "many"'),
        "[" * 100_000,
        '{"services": ' + "1" * 5_000 + "}",
    ],
)
async def test_a_message_that_is_not_a_push_is_refused_and_the_next_one_taken(bad: str) -> None:
    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/activators/a") as socket:
            await socket.send_str(bad)
            await socket.send_str(good())
            await until(lambda: bool(told.pushes))
        assert len(told.refused) == 1


async def test_binary_messages_are_refused() -> None:
    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/activators/a") as socket:
            await socket.send_bytes(good().encode())
            await until(lambda: bool(told.refused))
        assert told.pushes == []


async def test_one_that_sends_nothing_readable_is_closed() -> None:
    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/activators/a") as socket:
            for _ in range(5):
                await socket.send_str("nonsense")
            message = await socket.receive(timeout=30)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)
        await until(lambda: told.events == ["+a", "-a"])


async def test_a_message_without_end_is_not_taken_in() -> None:
    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/activators/a") as socket:
            try:
                await socket.send_str("x" * (17 * 1024 * 1024))
            except ConnectionError:
                pass  # it closed before it had all
            message = await socket.receive(timeout=30)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        await until(lambda: told.events == ["+a", "-a"])
        assert told.pushes == []


@pytest.mark.parametrize("name", ["..%2Fx", "a%20b", "%00", "-a", "a" * 128, "%E2%98%83"])
async def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/activators/{name}")
        assert refused.value.status in (400, 404)
        assert told.events == []


async def test_a_page_in_a_browser_cannot_push() -> None:
    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/activators/a", origin="http://evil.example")
        assert refused.value.status == 403
        assert told.events == []


async def test_a_controller_that_stops_says_dial_again() -> None:
    async with (
        serving_activators() as (connections, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/a") as socket,
    ):
        await until(lambda: told.events == ["+a"])
        closing = asyncio.create_task(connections.close())
        message = await socket.receive(timeout=30)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.SERVICE_RESTART)
        await closing


async def test_one_that_says_goodbye_is_told_from_one_that_vanishes() -> None:
    async with serving_activators() as (_, told, url), aiohttp.ClientSession() as session:
        leaving = await session.ws_connect(f"{url}/activators/a")
        await leaving.close(code=aiohttp.WSCloseCode.GOING_AWAY)
        await until(lambda: told.events == ["+a", "bye a"])


async def test_one_that_does_not_answer_is_gone_and_one_that_only_answers_is_there() -> None:
    async with (
        serving_activators(heartbeat=0.1) as (_, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/hangs", autoping=False),
        session.ws_connect(f"{url}/activators/idle") as idle,
    ):
        answering = asyncio.create_task(idle.receive())
        await until(lambda: "-hangs" in told.events)
        assert "-idle" not in told.events
        assert not answering.done()
        answering.cancel()


async def test_the_kernel_ends_the_connection_of_an_activator_whose_machine_is_gone() -> None:
    async with (
        serving_activators() as (_, told, url),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/activators/a") as socket,
    ):
        await until(lambda: told.events == ["+a"])
        with accepted_from(socket.get_extra_info("sockname")) as ours:
            kept = ours.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE)
            names = (sockets.TCP_USER_TIMEOUT, sockets.TCP_KEEPIDLE, sockets.TCP_KEEPINTVL)
            assert (kept, [ours.getsockopt(sockets.IPPROTO_TCP, name) for name in names]) == (1, [1_500, 1, 1])


@contextlib.contextmanager
def accepted_from(peer: object) -> Iterator[sockets.socket]:
    """Of this process, the other end of a connection that came from there."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.ExitStack() as stack:
            try:
                found = stack.enter_context(sockets.socket(fileno=os.dup(int(entry.name))))
                there = found.getpeername()
            except OSError:
                continue  # no socket, or one that listens
            if there == peer:
                yield found
                return
    raise AssertionError(f"nothing was accepted from {peer}")
