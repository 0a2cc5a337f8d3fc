"""Whose turn it is to be asked: replicas that answer when they are told to, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

import pytest

from autoscaler.cluster.interface import Replica, ReplicaPhase
from autoscaler.controller.readings import scrape
from autoscaler.controller.readings.replica_connection import Page
from autoscaler.controller.readings.scrape import HISTORIES_READ_AT_ONCE, Scraper
from autoscaler.controller.settings import Cadence
from queue_proxy.messages import Stats
from tests.unit.controller.controller_builders import replica, stats

pytestmark = pytest.mark.looptime

HISTORY = 63


class Fleet:
    """Replicas by their admin ports. `seconds` that each takes to answer; those without are silent."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self.asked: list[tuple[float, int, str]] = []
        self.asking_now = 0
        self.asked_at_once = 0

    def replicas(self, count: int, seconds: float | None) -> list[Replica]:
        """So many new ones."""
        first = len(self.seconds) + 1
        for port in range(first, first + count):
            self.seconds[port] = 1e9 if seconds is None else seconds
        return [replica(f"r{port}", admin_port=port) for port in range(first, first + count)]

    async def answer(self, port: int, path: str) -> Page:
        self.asked.append((asyncio.get_running_loop().time(), port, path))
        self.asking_now += 1
        self.asked_at_once = max(self.asked_at_once, self.asking_now)
        try:
            await asyncio.sleep(self.seconds[port])
        finally:
            self.asking_now -= 1
        return Page(200, json.dumps(stats(f"r{port}", 100.0).to_json()).encode())


class Told:
    def __init__(self) -> None:
        self.read: dict[str, float] = {}
        self.failed: Counter[str] = Counter()

    def scraped(self, service: str, name: str, read: Stats) -> None:
        self.read.setdefault(name, asyncio.get_running_loop().time())

    def scrape_failed(self, service: str, name: str, why: str) -> None:
        self.failed[name] += 1


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet()

    class Connection:
        def __init__(self, host: str, port: int, largest: int) -> None:
            self._port = port

        async def get(self, path: str) -> Page:
            return await made.answer(self._port, path)

        def close(self) -> None:
            pass

    monkeypatch.setattr(scrape, "ReplicaConnection", Connection)
    return made


def following(services: Mapping[str, list[Replica]]) -> tuple[Scraper, Told]:
    told = Told()
    scraper = Scraper(told, Cadence())
    for service, replicas in services.items():
        scraper.follow(service, replicas, HISTORY)
    return scraper, told


async def test_history_is_asked_of_few_at_a_time_and_of_all_in_the_end(fleet: Fleet) -> None:
    scraper, told = following({f"s{number}": fleet.replicas(3, 0.01) for number in range(200)})
    await asyncio.sleep(0.5)
    assert fleet.asked_at_once == 32
    assert len(told.read) == 600
    await scraper.close()


async def test_of_histories_that_come_together_few_are_read_in_one_turn_of_the_loop(fleet: Fleet) -> None:
    scraper, told = following({"s": fleet.replicas(32, 0.01)})
    await asyncio.sleep(0.01)
    read = [0]
    while read[-1] < 32:
        await asyncio.sleep(0)
        read.append(len(told.read))
    assert max(after - before for before, after in pairwise(read)) <= 2 * HISTORIES_READ_AT_ONCE
    await scraper.close()


async def test_so_are_they_asked_from_then_on(fleet: Fleet) -> None:
    """Whoever waits for his turn is not asked together with all others a second later."""
    scraper, _ = following({"s": fleet.replicas(320, 0.01)})
    await asyncio.sleep(3)
    assert (
        fleet.asked_at_once < 320 * 0.7
    )  # they were asked over a tenth of a second, and share moments of half of that
    assert max(Counter(path for _, _, path in fleet.asked).values()) >= 640
    await scraper.close()


async def test_who_waits_for_his_turn_does_not_use_up_the_time_to_answer(fleet: Fleet) -> None:
    scraper, told = following({"s": fleet.replicas(32 * 15, 0.2)})
    await asyncio.sleep(3.1)  # the last was asked after 2.8 s, which is more than a first answer may take
    assert len(told.read) == 32 * 15
    assert not told.failed
    await scraper.close()


async def test_replicas_that_are_silent_do_not_hold_up_the_others(fleet: Fleet) -> None:
    scraper, told = following({"gone": fleet.replicas(64, None), "there": fleet.replicas(1, 0.01)})
    await asyncio.sleep(1)
    assert list(told.read) == ["r65"]
    await scraper.close()


async def test_who_is_slow_still_answers_after_his_turn(fleet: Fleet) -> None:
    scraper, told = following({"s": fleet.replicas(40, 1.5)})
    await asyncio.sleep(2)
    assert len(told.read) == 40
    await scraper.close()


async def test_turns_of_replicas_that_go_are_given_to_others(fleet: Fleet) -> None:
    scraper, told = following({"gone": fleet.replicas(64, 0.2), "there": fleet.replicas(32, 0.01)})
    await asyncio.sleep(0.1)
    scraper.follow("gone", [], 0)
    await asyncio.sleep(0.05)
    assert len(told.read) == 32
    await scraper.close()


async def test_a_service_is_untried_until_each_ready_replica_was_asked_once_whatever_came_of_it(fleet: Fleet) -> None:
    scraper, _ = following({"before": fleet.replicas(64, 0.2), "s": [*fleet.replicas(1, None)]})
    starting = replica("new", ReplicaPhase.STARTING, admin_port=fleet.replicas(1, None)[0].admin_port)
    scraper.follow("starts", [starting], HISTORY)
    assert scraper.untried("s")
    assert not scraper.untried("starts")
    assert not scraper.untried("unknown")
    await asyncio.sleep(2.3)
    assert scraper.untried("s"), "asked at 0.4 s, it has had its time at 2.4 s"
    await asyncio.sleep(0.2)
    assert not scraper.untried("s")
    await scraper.close()


async def test_following_one_of_many_services_looks_at_no_other(fleet: Fleet) -> None:
    compared = Counter[str]()

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            compared["names"] += 1
            return str.__eq__(self, other)

    services: dict[str, list[Replica]] = {Name(f"s{number}"): fleet.replicas(1, 0.01) for number in range(100)}
    scraper, _ = following(services)
    compared.clear()
    scraper.follow(Name("s50"), services[Name("s50")], HISTORY)
    assert compared["names"] < 10
    await scraper.close()
