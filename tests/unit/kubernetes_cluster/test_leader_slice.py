"""Where the leader is: the slice of a Service without a selector."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text
from autoscaler.cluster.kubernetes.leader_slice import Announcement, announce

pytestmark = pytest.mark.looptime

ONE = Announcement("system", "controller", "10.0.0.1", {"api": 7330, "control": 7331})
OTHER = Announcement("system", "controller", "10.0.0.2", {"api": 7330, "control": 7331})


class Slices:
    """One slice, as an API server keeps it."""

    def __init__(self) -> None:
        self.stored: dict[str, object] | None = None
        self.writes: list[str] = []
        self.fails = False
        self._version = 0

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        within: float = 5.0,
    ) -> JsonObject:
        if self.fails:
            raise ApiError(503, "", "away")
        if method == "GET":
            assert path.endswith("/namespaces/system/endpointslices/controller-leader")
            if self.stored is None:
                raise ApiError(404, "NotFound", "none")
            return self.stored
        assert body is not None
        if method == "PUT" and text(inner(body, "metadata"), "resourceVersion") != str(self._version):
            raise ApiError(409, "Conflict", "changed")
        self._version += 1
        self.writes.append(method)
        self.stored = {**body, "metadata": {**inner(body, "metadata"), "resourceVersion": str(self._version)}}
        return self.stored


async def announced(slices: Slices, announcement: Announcement, seconds: float) -> None:
    task = asyncio.create_task(announce(slices, announcement))
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_first_leader_makes_it_and_the_next_one_writes_it_anew() -> None:
    slices = Slices()
    await announced(slices, ONE, 1)
    await announced(slices, OTHER, 1)
    assert slices.writes == ["POST", "PUT"]
    assert slices.stored is not None
    assert slices.stored["endpoints"] == [
        {"addresses": ["10.0.0.2"], "conditions": {"ready": True, "serving": True, "terminating": False}}
    ]
    assert inner(slices.stored, "metadata", "labels")["kubernetes.io/service-name"] == "controller"


async def test_at_rest_nothing_is_written() -> None:
    slices = Slices()
    await announced(slices, ONE, 600)
    assert slices.writes == ["POST"]


async def test_one_that_was_deleted_is_made_again() -> None:
    slices = Slices()
    task = asyncio.create_task(announce(slices, ONE))
    await asyncio.sleep(1)
    slices.stored = None
    await asyncio.sleep(20)
    assert slices.writes == ["POST", "POST"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_api_server_that_is_away_is_tried_until_it_is_back() -> None:
    slices = Slices()
    slices.fails = True
    task = asyncio.create_task(announce(slices, ONE))
    await asyncio.sleep(60)
    slices.fails = False
    await asyncio.sleep(1)
    assert slices.writes == ["POST"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_addresses_of_the_other_family_have_a_slice_of_their_own() -> None:
    six = Announcement("system", "controller", "fd00::1", {"api": 7330})
    assert (six.name, six.family) == ("controller-leader-ipv6", "IPv6")
