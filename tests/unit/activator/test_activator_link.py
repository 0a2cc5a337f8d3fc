"""The link: what goes up, what comes down, and what happens when nobody answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from activator.link import COALESCE_SECONDS, ControlTarget, Link
from activator.messages import Routes, StatsPush, parse_stats_push
from queue_proxy.messages import SecondStats, Stats
from tests.until import until


class Numbers:
    """Two services with made-up numbers; remembers the tables."""

    def __init__(self, *names: str) -> None:
        self.known = list(names)
        self.waiting: set[str] = set()
        self.tables: list[Routes] = []

    def names(self) -> Sequence[str]:
        return self.known

    def stats(self, service: str) -> Stats | None:
        return self._read(service)

    def stats_with_history(self, service: str) -> Stats | None:
        return self._read(service, SecondStats(0.5, 0.0, 0.0, 1))

    def _read(self, service: str, *history: SecondStats) -> Stats | None:
        if service not in self.known:
            return None
        return Stats(source="activator/one", epoch="e", at=time.monotonic(), seconds=history)

    def wakes(self, service: str) -> bool:
        return service in self.waiting

    def apply(self, routes: Routes) -> None:
        self.tables.append(routes)


class Controller:
    """A WebSocket server that keeps what comes and sends what it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pushes: list[StatsPush] = []
        self.urls: list[str] = []
        self.close_codes: list[int | None] = []
        self.socket: web.WebSocketResponse | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()

    async def stop(self) -> None:
        if self.socket is not None:
            await self.socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        self.urls.append(request.path)
        self.socket = web.WebSocketResponse()
        await self.socket.prepare(request)
        async for message in self.socket:
            if message.type is WSMsgType.TEXT:
                self.pushes.append(parse_stats_push(json.loads(message.data)))
        self.close_codes.append(self.socket.close_code)
        return self.socket


@contextlib.asynccontextmanager
async def linked(path: Path, numbers: Numbers) -> AsyncIterator[Link]:
    link = Link("one", ControlTarget("http://controller", str(path)), numbers, time.monotonic)
    running = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[Controller]:
    controller = Controller(tmp_path / "control.sock")
    await controller.start()
    yield controller
    await controller.stop()


def table(epoch: str, version: int) -> str:
    return json.dumps(Routes(epoch, version, ()).to_json())


async def test_the_first_push_brings_history_of_every_service_and_says_if_one_of_them_waits(
    controller: Controller,
) -> None:
    numbers = Numbers(*(f"default/m{n}" for n in range(70)))
    numbers.waiting.add("default/m40")
    async with linked(controller.path, numbers):
        await until(lambda: len(controller.pushes) == 3)
    assert controller.urls == ["/activators/one"]
    told = [name for push in controller.pushes for name in push.services]
    assert told == numbers.known
    assert all(stats.seconds for push in controller.pushes for stats in push.services.values())
    assert [push.urgent for push in controller.pushes] == [False, True, False]


async def test_an_urgent_push_goes_at_once_and_tells_only_of_that_service(controller: Controller) -> None:
    async with linked(controller.path, Numbers("default/a", "default/b")) as link:
        await until(lambda: len(controller.pushes) == 1)
        link.urgent("default/b")
        await until(lambda: any(push.urgent for push in controller.pushes))
    push = next(push for push in controller.pushes if push.urgent)
    assert push.urgent
    assert list(push.services) == ["default/b"]
    assert push.services["default/b"].seconds == ()


async def test_urgent_pushes_of_one_service_within_twenty_milliseconds_are_told_once_more_at_their_end(
    controller: Controller,
) -> None:
    async with linked(controller.path, Numbers("default/a")) as link:
        await until(lambda: len(controller.pushes) == 1)
        link.urgent("default/a")
        await until(lambda: len(controller.pushes) == 2)
        first = controller.pushes[1].services["default/a"].at
        for _ in range(50):
            link.urgent("default/a")
        await until(lambda: len(controller.pushes) == 3)
        await asyncio.sleep(3 * COALESCE_SECONDS)
        assert len(controller.pushes) == 3
        assert controller.pushes[2].services["default/a"].at - first >= COALESCE_SECONDS


async def test_what_is_urgent_of_another_service_does_not_wait(controller: Controller) -> None:
    async with linked(controller.path, Numbers("default/a", "default/b")) as link:
        await until(lambda: len(controller.pushes) == 1)
        link.urgent("default/a")
        await until(lambda: len(controller.pushes) == 2)
        link.urgent("default/a")
        link.urgent("default/b")
        await until(lambda: len(controller.pushes) == 4)
    assert [list(push.services) for push in controller.pushes[1:]] == [["default/a"], ["default/b"], ["default/a"]]


async def test_everything_is_told_every_second(controller: Controller) -> None:
    async with linked(controller.path, Numbers("default/a")):
        await until(lambda: len(controller.pushes) == 3)
    first, second = (push.services["default/a"].at for push in controller.pushes[1:])
    assert second - first > 0.9
    assert not any(push.urgent for push in controller.pushes)


async def test_an_older_table_of_the_same_controller_is_ignored_and_one_of_a_new_controller_is_not(
    controller: Controller,
) -> None:
    numbers = Numbers()
    async with linked(controller.path, numbers):
        await until(lambda: controller.socket is not None)
        assert controller.socket is not None
        for epoch, version in (("a", 3), ("a", 2), ("a", 4), ("b", 1)):
            await controller.socket.send_str(table(epoch, version))
        await until(lambda: len(numbers.tables) == 3)
    assert [(routes.epoch, routes.version) for routes in numbers.tables] == [("a", 3), ("a", 4), ("b", 1)]


async def test_a_table_that_cannot_be_read_is_counted_and_the_connection_stays(controller: Controller) -> None:
    numbers = Numbers()
    async with linked(controller.path, numbers) as link:
        await until(lambda: controller.socket is not None)
        assert controller.socket is not None
        await controller.socket.send_str("{")
        await controller.socket.send_bytes(b"\x00")
        await controller.socket.send_str(table("a", 1))
        await until(lambda: len(numbers.tables) == 1)
        assert link.refused_tables == 2
        assert link.connections == 1


async def test_it_dials_until_a_controller_is_there_and_again_when_it_is_gone(tmp_path: Path) -> None:
    controller = Controller(tmp_path / "control.sock")
    async with linked(controller.path, Numbers("default/a")) as link:
        await asyncio.sleep(0.1)
        assert not link.connected
        await controller.start()
        await until(lambda: link.connected)
        assert controller.socket is not None
        await controller.socket.close()
        await until(lambda: link.connections == 2)
        await controller.stop()
        await until(lambda: not link.connected)


async def test_who_ends_tells_the_last_numbers_and_says_goodbye(controller: Controller) -> None:
    async with linked(controller.path, Numbers("default/a")) as link:
        await until(lambda: len(controller.pushes) == 1)
        assert not link.has_table
        await link.leave()
        await until(lambda: bool(controller.close_codes))
    assert controller.close_codes == [1001]
    assert [list(push.services) for push in controller.pushes] == [["default/a"]] * 2


async def test_who_is_not_connected_ends_without_a_word(tmp_path: Path) -> None:
    async with linked(tmp_path / "nobody.sock", Numbers("default/a")) as link:
        await asyncio.wait_for(link.leave(), 1)
