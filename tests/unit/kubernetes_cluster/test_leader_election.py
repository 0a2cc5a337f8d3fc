"""Several candidates on one virtual clock, cut off and stopped at will: never two that act at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text
from autoscaler.cluster.kubernetes.leading import Elector, Fence
from autoscaler.cluster.kubernetes.lease import LeaseSettings

pytestmark = pytest.mark.looptime

SETTINGS = LeaseSettings()
PATH = "/apis/coordination.k8s.io/v1/namespaces/system/leases"


class LeaseServer:
    """One Lease as an API server keeps it: each write makes a new version, and an old version replaces nothing."""

    def __init__(self) -> None:
        self.stored: dict[str, object] | None = None
        self._version = 0

    def answer(self, method: str, path: str, body: JsonObject | None) -> JsonObject:
        if method == "GET":
            if self.stored is None:
                raise ApiError(404, "NotFound", "no such lease")
            return self.stored
        assert body is not None
        if method == "POST":
            if self.stored is not None:
                raise ApiError(409, "AlreadyExists", "there is one")
        else:
            if self.stored is None:
                raise ApiError(404, "NotFound", "no such lease")
            if text(inner(body, "metadata"), "resourceVersion") != str(self._version):
                raise ApiError(409, "Conflict", "the object has been modified")
        self._version += 1
        self.stored = {**body, "metadata": {**inner(body, "metadata"), "resourceVersion": str(self._version)}}
        return self.stored


@dataclass
class Wire:
    """One candidate's way to the server: seconds each direction takes, and whether anything gets through at all."""

    server: LeaseServer
    cut: bool = False
    there: float = 0.01
    back: float = 0.01
    writes: list[tuple[float, str]] = field(default_factory=list)

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
        try:
            async with asyncio.timeout(within):
                await self._pass(self.there)
                if path == "/write":
                    self.writes.append((asyncio.get_running_loop().time(), method))
                    return {}
                answer = self.server.answer(method, path, body)
                await self._pass(self.back)
                return answer
        except TimeoutError as error:
            raise ApiError(0, "Timeout", "no answer") from error

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.cut:
            await asyncio.Event().wait()


class Controller:
    """A candidate that writes ten times a second while it leads, through its fence."""

    def __init__(self, name: str, server: LeaseServer) -> None:
        self.wire = Wire(server)
        loop = asyncio.get_running_loop()
        self.elector = Elector(self.wire, "system", "controller", name, SETTINGS, loop.time, loop.time)
        self.fence = Fence(self.wire, lambda: self.elector.acts_for)
        self.led: list[tuple[float, float]] = []
        self.task = asyncio.create_task(self.elector.run(self._lead))

    @property
    def leads(self) -> bool:
        return self.elector.acts_for > 0.0

    async def _lead(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            while True:
                try:
                    await self.fence.request("PATCH", "/write")
                except ApiError:
                    pass
                await asyncio.sleep(0.1)
        finally:
            self.led.append((began, asyncio.get_running_loop().time()))

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_one_of_two_leads_and_both_know_who() -> None:
    server = LeaseServer()
    one, other = Controller("one", server), Controller("other", server)
    await asyncio.sleep(10)
    assert [one.leads, other.leads].count(True) == 1
    assert one.elector.leader == other.elector.leader != ""
    await one.end()
    await other.end()


async def test_at_an_orderly_end_the_next_one_leads_within_one_look() -> None:
    server = LeaseServer()
    one = Controller("one", server)
    await asyncio.sleep(1)
    other = Controller("other", server)
    await asyncio.sleep(5)
    assert one.leads
    await one.end()
    ended = now()
    while not other.leads:
        await asyncio.sleep(0.01)
    assert now() - ended <= 1.2 + 0.1
    assert server.stored is not None
    assert inner(server.stored, "spec")["leaseTransitions"] == 1
    await other.end()


async def test_a_leader_that_was_killed_is_followed_once_its_lease_has_ended() -> None:
    server = LeaseServer()
    one = Controller("one", server)
    await asyncio.sleep(1)
    other = Controller("other", server)
    await asyncio.sleep(5)
    one.wire.cut = True  # it says nothing any more, not even goodbye
    cut = now()
    while not other.leads:
        await asyncio.sleep(0.01)
    assert 4.0 <= now() - cut <= 5.0 + 1.2 + 1.2 + 0.1
    await one.end()
    await other.end()


async def test_a_leader_that_is_cut_off_stops_leading_before_anybody_else_may_begin() -> None:
    server = LeaseServer()
    one = Controller("one", server)
    await asyncio.sleep(1)
    other = Controller("other", server)
    await asyncio.sleep(5)
    one.wire.cut = True
    await asyncio.sleep(10)
    (term,) = one.led
    assert term[1] <= other.wire.writes[0][0] - 1.0
    one.wire.cut = False
    await asyncio.sleep(10)
    assert not one.leads
    assert one.elector.leader == "other"
    await one.end()
    await other.end()


async def test_a_leader_that_comes_back_before_its_lease_ended_leads_on_without_anybody_noticing() -> None:
    server = LeaseServer()
    one, other = Controller("one", server), Controller("other", server)
    await asyncio.sleep(5)
    leader = one if one.leads else other
    leader.wire.cut = True
    await asyncio.sleep(1.5)
    leader.wire.cut = False
    await asyncio.sleep(10)
    assert leader.leads
    assert leader.led == []
    await one.end()
    await other.end()


async def test_what_leads_may_end_by_itself_and_tells_why() -> None:
    loop = asyncio.get_running_loop()
    wire = Wire(LeaseServer())
    elector = Elector(wire, "system", "controller", "one", SETTINGS, loop.time, loop.time)

    async def fails() -> None:
        raise RuntimeError("cannot")

    with pytest.raises(RuntimeError, match="cannot"):
        await elector.run(fails)
    assert elector.leader == ""


async def test_without_an_api_server_nobody_leads_and_the_reason_is_kept() -> None:
    one = Controller("one", LeaseServer())
    one.wire.cut = True
    await asyncio.sleep(5)
    assert not one.leads
    assert one.elector.problem
    await one.end()


async def test_a_fence_lets_nothing_through_without_the_lease() -> None:
    wire = Wire(LeaseServer())
    with pytest.raises(ApiError, match="another controller may lead"):
        await Fence(wire, lambda: 0.0).request("PATCH", "/write")
    assert wire.writes == []


troubles = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["cut", "heal", "slow there", "slow back", "end"]),
        st.floats(0.0, 4.0),
    ),
    max_size=14,
)


@settings(max_examples=20, deadline=None)
@given(troubles=troubles)
def test_whatever_is_cut_delayed_or_ended_no_two_act_at_once(troubles: list[tuple[int, str, float]]) -> None:
    loop = looptime.new_event_loop(start=1_000.0)
    try:
        loop.run_until_complete(_survive(troubles))
    finally:
        loop.close()


async def _survive(troubles: list[tuple[int, str, float]]) -> None:
    server = LeaseServer()
    names = ("a", "b", "c")
    candidates = [Controller(name, server) for name in names]
    for which, trouble, seconds in troubles:
        one = candidates[which]
        match trouble:
            case "cut":
                one.wire.cut = True
            case "heal":
                one.wire.cut, one.wire.there, one.wire.back = False, 0.01, 0.01
            case "slow there":
                one.wire.there = seconds / 4
            case "slow back":
                one.wire.back = seconds / 4
            case "end":
                await one.end()
                candidates[which] = Controller(f"{names[which]}{now():.3f}", server)
                candidates[which].led = one.led
                candidates[which].wire.writes = one.wire.writes
        for _ in range(int(seconds / 0.1)):
            await asyncio.sleep(0.1)
            assert [one.leads for one in candidates].count(True) <= 1
    for one in candidates:
        one.wire.cut, one.wire.there, one.wire.back = False, 0.01, 0.01
    await asyncio.sleep(15)
    assert [one.leads for one in candidates].count(True) == 1, "somebody leads once all is well again"
    for one in candidates:
        await one.end()
