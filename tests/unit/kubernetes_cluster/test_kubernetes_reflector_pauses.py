"""How long a reflector waits between tries: longer each time, of random length, no shorter than it is asked to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Connection
from autoscaler.cluster.kubernetes.json_object import JsonObject
from autoscaler.cluster.kubernetes.reflector import Patience, Reflector, Resource
from tests.unit.kubernetes_cluster.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

TRIES = 9
PATIENCE = Patience(first_pause=0.1, longest_pause=3.0)


class Away(MemoryApi):
    """It lists, and takes no watch while it is away."""

    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__()
        self.tried: list[float] = []
        self.away = True
        self._retry_after = retry_after

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str], idle: float) -> AsyncIterator[AsyncIterator[bytes]]:
        self.tried.append(asyncio.get_running_loop().time())
        if self.away:
            raise ApiError(503, "ServiceUnavailable", "away", retry_after=self._retry_after)
        async with super().stream(path, query, idle) as lines:
            yield lines


async def pauses(server: Away, uniform: Callable[[], float]) -> list[float]:
    connection: Connection = server
    reflector: Reflector[JsonObject] = Reflector(
        connection, Resource("/api/v1/pods"), lambda item: item, lambda *_: None, PATIENCE, uniform
    )
    running = asyncio.create_task(reflector.run())
    while len(server.tried) <= TRIES:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return [round(after - before, 3) for before, after in itertools.pairwise(server.tried)][:TRIES]


@pytest.mark.parametrize(("drawn", "part"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
async def test_pauses_double_up_to_the_longest_and_are_of_random_length(drawn: float, part: float) -> None:
    doubled = [min(PATIENCE.longest_pause, PATIENCE.first_pause * 2**tries) for tries in range(TRIES)]
    assert await pauses(Away(), lambda: drawn) == [pytest.approx(pause * part, abs=0.002) for pause in doubled]


async def test_who_is_asked_to_wait_waits_for_that_long_and_some_more() -> None:
    assert min(await pauses(Away(retry_after=7.0), lambda: 0.0)) > 7.0
