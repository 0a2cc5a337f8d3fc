"""Who writes when many want to, and how long."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.write_turns import Urgency, WriteTurns

pytestmark = pytest.mark.looptime


class Writers:
    """Each write takes a second, and may fail."""

    def __init__(self, turns: WriteTurns) -> None:
        self.turns = turns
        self.began: list[tuple[float, str]] = []
        self.most_at_once = 0
        self._under_way = 0

    async def write(self, name: str, urgency: Urgency, seconds: float = 1.0, error: ApiError | None = None) -> None:
        async with self.turns.turn(urgency):
            self.began.append((asyncio.get_running_loop().time(), name))
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            try:
                await asyncio.sleep(seconds)
            finally:
                self._under_way -= 1
            if error is not None:
                raise error

    def start(self, name: str, urgency: Urgency) -> asyncio.Task[None]:
        return asyncio.create_task(self.write(name, urgency))


async def test_the_most_urgent_goes_first_and_of_those_alike_who_came_first() -> None:
    writers = Writers(WriteTurns(1))
    urgencies = [Urgency.UPKEEP, Urgency.PATH, Urgency.UPKEEP, Urgency.ORDER, Urgency.DOOR, Urgency.WAKE, Urgency.PATH]
    await asyncio.gather(*(writers.start(str(number), urgency) for number, urgency in enumerate(urgencies)))
    assert [name for _, name in writers.began] == ["0", "5", "3", "4", "1", "6", "2"]
    assert writers.most_at_once == 1


async def test_a_quarter_of_all_turns_is_for_wakes() -> None:
    writers = Writers(WriteTurns(16))
    many = [writers.start("path", Urgency.PATH) for _ in range(40)]
    many += [writers.start("wake", Urgency.WAKE) for _ in range(4)]
    await asyncio.gather(*many)
    assert [name for at, name in writers.began if at == 0.0] == ["path"] * 12 + ["wake"] * 4
    assert writers.most_at_once == 16


async def test_who_gives_up_waiting_takes_no_turn_and_holds_up_nobody() -> None:
    writers = Writers(WriteTurns(1))
    first, second, third = (writers.start(name, Urgency.PATH) for name in ("first", "second", "third"))
    await asyncio.sleep(0.5)
    second.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert writers.began == [(0.0, "first"), (1.0, "third")]


async def test_who_is_cancelled_in_the_moment_of_getting_a_turn_passes_it_on() -> None:
    turns = WriteTurns(1)
    writers = Writers(turns)
    async with turns.turn(Urgency.PATH):
        second = writers.start("second", Urgency.PATH)
        third = writers.start("third", Urgency.PATH)
        await asyncio.sleep(0)
    second.cancel()
    await third
    assert [name for _, name in writers.began] == ["third"]


async def test_waiting_for_a_turn_is_not_bounded_and_a_turn_is() -> None:
    writers = Writers(WriteTurns(1))
    many = [asyncio.create_task(writers.write("slow", Urgency.PATH, 4.9)) for _ in range(10)]
    await asyncio.gather(*many)
    with pytest.raises(ApiError, match="did not answer within 5 s"):
        await writers.write("stuck", Urgency.PATH, 3_600.0)
    assert asyncio.get_running_loop().time() == pytest.approx(54.0)


async def test_a_server_that_asks_for_a_pause_has_one_from_all_but_orders_of_replicas() -> None:
    writers = Writers(WriteTurns(16))
    busy = ApiError(503, "", "busy", retry_after=7.0)
    with pytest.raises(ApiError, match="busy"):
        await writers.write("told", Urgency.UPKEEP, error=busy)
    await asyncio.gather(*(writers.start(urgency.name, urgency) for urgency in reversed(Urgency)))
    assert [(at, name) for at, name in writers.began if at < 8.0] == [(0.0, "told"), (1.0, "ORDER"), (1.0, "WAKE")]
    assert [name for at, name in writers.began if at == 8.0] == ["DOOR", "PATH", "UPKEEP"]
