"""The control socket of a controller that leads, that stands by, that loses the lead: on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType

from autoscaler.cluster.interface import NotAuthenticatedError
from autoscaler.controller.instance import ControllerInstance
from autoscaler.controller.leadership import Authenticator, ReplicaDoor, always
from autoscaler.controller.loop import Controller
from autoscaler.controller.settings import Cadence
from tests.integration.controller.controller_links import served
from tests.unit.controller.controller_builders import CHAT, MemoryCluster, replica, view


class GivenLeadership:
    """Leadership that the test gives and takes."""

    identity = "one"
    leader = "two"

    def __init__(self) -> None:
        self.given = asyncio.Event()
        self.taken = asyncio.Event()

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self.given.wait()
            term = asyncio.ensure_future(lead())
            await self.taken.wait()
            self.given.clear()
            self.taken.clear()
            term.cancel()
            await asyncio.gather(term, return_exceptions=True)


class Known:
    """Knows one token."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def authenticate(self, authorization: str, activator: str) -> None:
        self.asked.append((authorization, activator))
        await self.may_answer.wait()
        if authorization != "Bearer right":
            raise NotAuthenticatedError(401, "no token")


class Door:
    """Knows one replica by its token; `taken` has what it said."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, ...]] = []

    async def take(self, authorization: str, namespace: str, pod: str, address: str, peer: str) -> bool:
        if authorization != "Bearer right":
            raise NotAuthenticatedError(403, "somebody else's token")
        if pod == "unknown":
            raise NotAuthenticatedError(404, "no such pod")
        if pod == "moved":
            raise NotAuthenticatedError(409, "no such place")
        self.taken.append((namespace, pod, address, peer))
        return len(self.taken) == 1


class OneInstance:
    """An instance, the leadership that it is given, and a way in."""

    def __init__(
        self, instance: ControllerInstance, leadership: GivenLeadership, url: str, session: aiohttp.ClientSession
    ) -> None:
        self.instance = instance
        self.leadership = leadership
        self.url = url
        self.session = session

    def dial(self, token: str = "right") -> aiohttp.client._BaseRequestContextManager[aiohttp.ClientWebSocketResponse]:
        return self.session.ws_connect(f"{self.url}/activators/a", headers={"Authorization": f"Bearer {token}"})

    async def given_the_lead(self) -> None:
        self.leadership.given.set()
        while self.instance.standing_by:
            await asyncio.sleep(0.01)

    async def loses_the_lead(self) -> None:
        self.leadership.taken.set()
        while not self.instance.standing_by:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def one_instance(
    authenticator: Authenticator | None = None, replica_door: ReplicaDoor | None = None
) -> AsyncIterator[OneInstance]:
    leadership, cluster = GivenLeadership(), MemoryCluster(view(replica()))
    async with aiohttp.ClientSession() as session:

        def controller() -> Controller:
            return Controller(cluster, None, asyncio.get_running_loop().time, Cadence(), "e")

        instance = ControllerInstance(controller, leadership, always, authenticator, replica_door)
        async with served(instance.application()) as url:
            governing = asyncio.create_task(leadership.run(instance.lead))
            try:
                yield OneInstance(instance, leadership, url, session)
            finally:
                leadership.taken.set()
                await asyncio.sleep(0)
                governing.cancel()
                await asyncio.gather(governing, return_exceptions=True)


async def test_whoever_stands_by_sends_an_activator_on_and_says_who_leads() -> None:
    async with one_instance() as here:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await here.dial()
        assert refused.value.status == 503
        assert here.instance.standing_by == "this controller stands by; two leads"
        assert b"pilotlight_leader 0.0" in await here.instance.metrics_text()


async def test_whoever_leads_gives_an_activator_its_table() -> None:
    async with one_instance() as here:
        await here.given_the_lead()
        async with here.dial() as socket:
            table = await socket.receive_json(timeout=30)
            assert [route["service"] for route in table["routes"]] == [CHAT]
            assert here.instance.activators == ("a",)
            assert b"pilotlight_leader 1.0" in await here.instance.metrics_text()


async def test_whoever_loses_the_lead_lets_its_activators_go_at_once() -> None:
    async with one_instance() as here:
        await here.given_the_lead()
        async with here.dial() as socket:
            await socket.receive_json(timeout=30)
            await here.loses_the_lead()
            message = await socket.receive(timeout=30)
            assert (message.type, message.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.SERVICE_RESTART)
        assert here.instance.services == {}


async def test_a_second_term_begins_with_nothing_of_the_first() -> None:
    async with one_instance() as here:
        await here.given_the_lead()
        async with here.dial() as socket:
            await socket.receive_json(timeout=30)
        await here.loses_the_lead()
        await here.given_the_lead()
        assert here.instance.activators == ()
        assert b"pilotlight_leader_terms_total 2.0" in await here.instance.metrics_text()
        async with here.dial() as socket:
            assert (await socket.receive_json(timeout=30))["version"] == 1


async def test_who_cannot_show_a_token_does_not_get_in_and_is_counted() -> None:
    async with one_instance(Known()) as here:
        await here.given_the_lead()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await here.dial("wrong")
        assert refused.value.status == 401
        assert refused.value.headers is not None
        assert refused.value.headers["WWW-Authenticate"] == "Bearer"
        assert here.instance.activators == ()
        assert b"pilotlight_activators_refused_total 1.0" in await here.instance.metrics_text()
        async with here.dial() as socket:
            await socket.receive_json(timeout=30)


async def test_a_lead_that_was_lost_while_somebody_was_asked_who_he_is_takes_nobody_in() -> None:
    known = Known()
    async with one_instance(known) as here:
        await here.given_the_lead()
        known.may_answer.clear()
        dialling = asyncio.ensure_future(here.dial())
        while not known.asked:
            await asyncio.sleep(0.01)
        await here.loses_the_lead()
        known.may_answer.set()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await dialling
        assert refused.value.status == 503


async def told(here: OneInstance, pod: str = "chat-1", token: str = "right") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with here.session.put(f"{here.url}/replicas/default/{pod}/10.0.0.1", headers=headers) as answer:
        return answer.status


async def test_a_replica_that_says_where_it_is_is_heard_by_whoever_leads_alone() -> None:
    door = Door()
    async with one_instance(replica_door=door) as here:
        assert (await told(here), door.taken) == (503, [])
        await here.given_the_lead()
        assert await told(here) == 204
        assert door.taken == [("default", "chat-1", "10.0.0.1", "127.0.0.1")]


async def test_a_replica_that_cannot_show_who_it_is_is_refused_counted_and_named_without_its_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with one_instance(replica_door=Door()) as here:
        await here.given_the_lead()
        assert await told(here, token="secret") == 403
        assert b'pilotlight_told_addresses_total{outcome="refused"} 1.0' in await here.instance.metrics_text()
        assert "pod 'chat-1' of 'default' from 127.0.0.1: somebody else's token" in caplog.text
        assert "secret" not in caplog.text
        for _ in range(20):
            assert await told(here, token="secret") == 403
        assert caplog.text.count("somebody else's token") == 10, "nobody fills our logs"
        assert b'pilotlight_told_addresses_total{outcome="refused"} 21.0' in await here.instance.metrics_text()


async def test_what_is_known_already_is_no_fault() -> None:
    async with one_instance(replica_door=Door()) as here:
        await here.given_the_lead()
        assert [await told(here), await told(here)] == [204, 204]
        assert b'pilotlight_told_addresses_total{outcome="news"} 1.0' in await here.instance.metrics_text()
        assert b'pilotlight_told_addresses_total{outcome="known"} 1.0' in await here.instance.metrics_text()


@pytest.mark.parametrize(("pod", "status"), [("unknown", 404), ("moved", 409)])
async def test_a_pod_that_is_not_known_there_yet_is_no_stranger(
    pod: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with one_instance(replica_door=Door()) as here:
        await here.given_the_lead()
        assert await told(here, pod=pod) == status
        assert b'pilotlight_told_addresses_total{outcome="unknown"} 1.0' in await here.instance.metrics_text()
        assert b'pilotlight_told_addresses_total{outcome="refused"} 0.0' in await here.instance.metrics_text()
        assert "no such" not in caplog.text
