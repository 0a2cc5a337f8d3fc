"""A copy stays true whatever happens to the watch, and asks for whole lists only where it must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.cluster.kubernetes import connection as connection_module
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Connection
from autoscaler.cluster.kubernetes.json_object import JsonObject, number
from autoscaler.cluster.kubernetes.reflector import Patience, Reflector, Resource
from tests.integration.kubernetes_cluster.stand_in_api_server import PATH, Fault, StandInApiServer, serving
from tests.until import until

THINGS = Resource(PATH)
HASTE = Patience(first_pause=0.005, longest_pause=0.02, page=3, short_watch=0.02, look_again=0.02, absent=0.05)


def value_of(item: JsonObject) -> int | None:
    value = number(item, "value")
    if value == 13:
        raise ValueError("an object that cannot be read")
    return value if value >= 0 else None


class Told:
    def __init__(self) -> None:
        self.facts: dict[str, int] = {}
        self.changes = 0

    def __call__(self, key: str, before: int | None, after: int | None) -> None:
        assert self.facts.get(key) == before
        self.changes += 1
        if after is None:
            del self.facts[key]
        else:
            self.facts[key] = after


@asynccontextmanager
async def reflecting(connection: Connection, resource: Resource = THINGS) -> AsyncIterator[tuple[Reflector[int], Told]]:
    told = Told()
    reflector: Reflector[int] = Reflector(connection, resource, value_of, told, HASTE)
    running = asyncio.create_task(reflector.run())
    try:
        yield reflector, told
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_list_in_pages_and_then_every_event() -> None:
    server = StandInApiServer()
    for index in range(8):
        server.put(f"n{index}", index)
    async with serving(server) as connection, reflecting(connection) as (reflector, told):
        await reflector.synced.wait()
        assert reflector.facts == server.values
        assert (server.lists, set(server.limits)) == (3, {"3"})
        server.put("n1", 100)
        server.delete("n2")
        server.put("new", 7)
        await until(lambda: reflector.facts == server.values)
        assert told.facts == reflector.facts
        assert reflector.counts.lists == 1


async def test_a_cut_watch_goes_on_from_the_last_bookmark_without_a_list() -> None:
    server = StandInApiServer()
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await until(lambda: server.watches == 1)
        server.put("a", 1)
        server.bookmark()
        await until(lambda: reflector.counts.events == 2)
        for cut in range(5):
            server.cut()
            await until(lambda: server.watches == cut + 2)  # noqa: B023
        server.put("b", 2)
        await until(lambda: reflector.facts == server.values)
        assert reflector.counts.lists == 1
        assert set(server.since[1:]) == {server.version - 1}


@pytest.mark.parametrize("fault", [Fault.GONE, Fault.GONE_EVENT])
async def test_what_the_server_has_forgotten_is_listed_anew_once(fault: Fault) -> None:
    server = StandInApiServer()
    server.put("a", 1)
    server.watch_faults.append(fault)
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await until(lambda: reflector.counts.lists == 2 and server.watches == 2)
        server.put("b", 2)
        await until(lambda: reflector.facts == server.values)
        assert reflector.counts.lists == 2


async def test_deletions_that_were_missed_are_told_after_the_new_list() -> None:
    server = StandInApiServer()
    server.put("a", 1)
    server.put("b", 2)
    async with serving(server) as connection, reflecting(connection) as (reflector, told):
        await until(lambda: server.watches == 1)
        server.watch_faults.extend([Fault.UNAVAILABLE] * 3)
        server.cut()
        server.delete("a")
        server.compact()
        await until(lambda: reflector.facts == server.values)
        assert told.facts == {"default/b": 2}


@pytest.mark.parametrize(
    "fault",
    [Fault.BROKEN, Fault.UNAVAILABLE, Fault.UNAUTHORIZED, Fault.MALFORMED, Fault.ERROR_EVENT, Fault.HALF_A_LINE],
)
async def test_a_watch_that_fails_goes_on_where_it_was(fault: Fault) -> None:
    server = StandInApiServer()
    server.put("a", 1)
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await until(lambda: server.watches == 1)
        server.watch_faults.append(fault)
        server.cut()
        server.put("b", 2)
        await until(lambda: reflector.facts == server.values)
        assert reflector.counts.lists == 1


async def test_a_server_that_keeps_sending_what_cannot_be_used_is_listed_anew() -> None:
    server = StandInApiServer()
    server.watch_faults.extend([Fault.MALFORMED] * HASTE.unusable)
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await until(lambda: reflector.counts.lists == 2)


async def test_a_server_that_ends_every_watch_at_once_is_not_rushed() -> None:
    server = StandInApiServer()
    server.watch_faults.extend([Fault.EMPTY] * 1_000)
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await reflector.synced.wait()
        await asyncio.sleep(0.3)
        assert server.watches < 60
        assert server.lists == 1


async def test_while_lists_fail_what_was_known_stays() -> None:
    server = StandInApiServer()
    server.put("a", 1)
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await until(lambda: server.watches == 1)
        server.list_faults.extend([Fault.MALFORMED, Fault.GONE, Fault.MALFORMED])
        server.watch_faults.append(Fault.GONE)
        server.cut()
        await until(lambda: server.lists >= 3)
        assert reflector.facts == {"default/a": 1}
        await until(lambda: not server.list_faults and server.watches >= 3)
        assert reflector.facts == {"default/a": 1}


async def test_trouble_is_told_of_until_a_watch_holds_again() -> None:
    server = StandInApiServer()
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await until(lambda: server.watches == 1)
        server.watch_faults.extend([Fault.UNAVAILABLE] * 3)
        server.cut()
        await until(lambda: "503" in reflector.in_trouble)
        await until(lambda: not reflector.in_trouble)
        assert server.watches >= 5


async def test_an_object_that_cannot_be_read_hides_no_other() -> None:
    server = StandInApiServer()
    server.put("a", 13)
    server.put("b", 1)
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await reflector.synced.wait()
        assert reflector.facts == {"default/b": 1}
        server.put("b", 13)
        server.put("c", 2)
        await until(lambda: reflector.facts == {"default/c": 2})


async def test_an_update_that_changes_no_fact_is_no_news() -> None:
    server = StandInApiServer()
    server.put("a", 1)
    async with serving(server) as connection, reflecting(connection) as (reflector, told):
        await until(lambda: server.watches == 1)
        server.put("a", 1)
        await until(lambda: reflector.counts.events == 1)
        assert told.changes == 1


async def test_an_optional_definition_that_is_absent_means_none_and_is_found_when_it_comes() -> None:
    server = StandInApiServer()
    server.list_faults.extend([Fault.ABSENT] * 3)
    async with serving(server) as connection, reflecting(connection, Resource(PATH, optional=True)) as (reflector, _):
        await reflector.synced.wait()
        server.put("a", 1)
        await until(lambda: reflector.facts == {"default/a": 1})


async def test_objects_of_a_required_definition_do_not_go_because_of_a_404() -> None:
    server = StandInApiServer()
    server.put("a", 1)
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await until(lambda: server.watches == 1)
        server.watch_faults.append(Fault.GONE)
        server.list_faults.extend([Fault.ABSENT] * 4)
        server.cut()
        await until(lambda: not server.list_faults)
        assert reflector.facts == {"default/a": 1}


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.integers(-1, 12)),
        st.tuples(st.just("delete"), st.integers(0, 5), st.just(0)),
        st.tuples(st.sampled_from(["cut", "compact", "bookmark", "pause"]), st.just(0), st.just(0)),
        st.tuples(st.sampled_from(["watch", "list"]), st.integers(0, len(Fault) - 2), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(ACTIONS)
def test_whatever_happens_it_comes_to_what_the_server_has(actions: list[tuple[str, int, int]]) -> None:
    asyncio.run(_converges(actions))


async def _converges(actions: list[tuple[str, int, int]]) -> None:
    # Faults that are slow by nature, and one that is no fault of a server that has the definition.
    faults = [fault for fault in Fault if fault not in (Fault.BUSY, Fault.SILENT, Fault.ABSENT)]
    server = StandInApiServer()
    async with serving(server) as connection, reflecting(connection) as (reflector, told):
        for action, first, second in actions:
            match action:
                case "put":
                    server.put(f"n{first}", second)
                case "delete":
                    server.delete(f"n{first}")
                case "cut":
                    server.cut()
                case "compact":
                    server.compact()
                case "bookmark":
                    server.bookmark()
                case "watch":
                    server.watch_faults.append(faults[first % len(faults)])
                case "list":
                    server.list_faults.append(faults[first % len(faults)])
                case "pause":
                    await asyncio.sleep(0.003)
        wanted = {key: value for key, value in server.values.items() if value != -1}
        await until(lambda: reflector.synced.is_set() and reflector.facts == wanted)
        assert told.facts == wanted


async def test_a_busy_server_is_given_the_time_that_it_asks_for() -> None:
    server = StandInApiServer()
    server.list_faults.append(Fault.BUSY)
    async with serving(server) as connection:
        began = asyncio.get_running_loop().time()
        await connection.request("GET", PATH, query={"limit": "1"})
        assert asyncio.get_running_loop().time() - began >= 1.0
        assert server.lists == 2


async def test_a_busy_server_is_not_asked_again_when_the_time_is_up_before() -> None:
    server = StandInApiServer(retry_after="3600")
    server.list_faults.append(Fault.BUSY)
    async with serving(server) as connection:
        with pytest.raises(ApiError, match="429") as raised:
            await connection.request("GET", PATH, query={"limit": "1"}, within=9.0)
        assert (raised.value.status, raised.value.retry_after, server.lists) == (429, 10.0, 1)


async def test_a_token_that_is_refused_is_read_anew() -> None:
    server = StandInApiServer()
    server.list_faults.append(Fault.UNAUTHORIZED)
    async with serving(server) as connection:
        await connection.request("GET", PATH, query={"limit": "1"})
        assert server.tokens == ["Bearer token-1", "Bearer token-2"]


async def test_who_is_refused_for_good_is_told_so() -> None:
    server = StandInApiServer()
    server.list_faults.extend([Fault.UNAUTHORIZED] * 2)
    async with serving(server) as connection:
        with pytest.raises(ApiError, match="401"):
            await connection.request("GET", PATH, query={"limit": "1"})


async def test_a_request_that_nobody_answers_ends_in_time() -> None:
    server = StandInApiServer()
    async with serving(server) as connection:
        await connection.request("GET", PATH, query={"limit": "1"})
        with pytest.raises(ApiError, match="no answer within"):
            await connection.request("GET", PATH, query={"watch": "1", "resourceVersion": "1"}, within=0.2)


async def test_a_watch_that_is_taken_and_never_begins_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_HEAD_SECONDS", 0.2)
    server = StandInApiServer()
    server.watch_faults.append(Fault.SILENT)
    async with serving(server) as connection, reflecting(connection) as (reflector, _):
        await until(lambda: server.watches == 2)
        server.put("a", 1)
        await until(lambda: reflector.facts == server.values)
