"""Attacks on the real processes: what each gets, that it is cut off, and that the model never hears of it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.security.hostile_world import Client, StrictModel, World, activator_and_queue_proxy, ask, queue_proxy
from tests.security.http_attacks import CHUNKED, REFUSED, G, H, P


@dataclass
class Target:
    """A world and the model at its end."""

    world: World
    model: StrictModel

    def seen(self) -> list[tuple[bytes, bytes, bytes]]:
        """What the model was sent since the last question: method, target, body. A decent request comes last; it is
        here only so that we know that nothing else is still on its way."""
        mark = next(_marks)
        assert self.world.good(f"/mark/{mark}").endswith(b"ok")
        requests, self.model.requests = self.model.requests, []
        assert requests[-1].target == b"/mark/%d" % mark
        return [(request.method, request.target, request.body) for request in requests[:-1]]


_marks = itertools.count()


@pytest.fixture(scope="module", params=["queue_proxy", "activator"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    model = StrictModel()
    try:
        if request.param == "queue_proxy":
            made = queue_proxy(model.port)
        else:
            made = activator_and_queue_proxy(tmp_path_factory.mktemp("run"), model.port)
        with made as world:
            model.requests.clear()
            yield Target(world, model)
        assert model.faults == []
    finally:
        model.close()


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d\d\d) ", answers)


# The ports for requests know that one: they speak HTTP/2 as well.
ATTACKS = [name for name in REFUSED if name != "preface of HTTP/2"]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_and_reaches_nobody(target: Target, name: str) -> None:
    data, status = REFUSED[name]
    with Client(target.world.port) as client:
        client.send(data)
        answer = client.until_closed()
    assert statuses(answer) == [b"%d" % status]
    assert b"connection: close\r\n" in answer
    assert target.seen() == []


@pytest.mark.parametrize("name", ["length and chunked", "coding behind a blank", "no Host", "chunk size missing"])
def test_nothing_behind_an_attack_is_served(target: Target, name: str) -> None:
    data, status = REFUSED[name]
    with Client(target.world.port) as client:
        client.send(G + b"\r\n" + data + b"GET /smuggled HTTP/1.1\r\n" + H + b"\r\n")
        answer = client.until_closed()
    assert statuses(answer) == [b"200", b"%d" % status]
    assert target.seen() == [(b"GET", b"/", b"")]


INNER = b"GET /inner HTTP/1.1\r\nHost: m\r\n\r\n"

LENGTH = b"Content-Length: %d\r\n\r\n" % len(INNER)
ROOT = (b"GET", b"/", b"")
INSIDE = (b"GET", b"/inner", b"")

SERVED: dict[str, tuple[bytes, list[tuple[bytes, bytes, bytes]]]] = {
    "requests one behind the other": (G + b"\r\n" + b"GET /2 HTTP/1.1\r\n" + H + b"\r\n", [ROOT, (b"GET", b"/2", b"")]),
    "a request in a body": (P + LENGTH + INNER, [(b"POST", b"/", INNER)]),
    "a request in a body of GET": (G + LENGTH + INNER, [(b"GET", b"/", INNER)]),
    "a request in a body of HEAD": (b"HEAD / HTTP/1.1\r\n" + H + LENGTH + INNER, [(b"HEAD", b"/", INNER)]),
    "a request in a chunk": (CHUNKED + b"%x\r\n" % len(INNER) + INNER + b"\r\n0\r\n\r\n", [(b"POST", b"/", INNER)]),
    "a request behind the last chunk": (CHUNKED + b"0\r\n\r\n" + INNER, [(b"POST", b"/", b""), INSIDE]),
    "a request behind Expect": (
        P + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n" + INNER,
        [(b"POST", b"/", b""), INSIDE],
    ),
    "a request instead of an expected body": (
        P + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER,
        [(b"POST", b"/", INNER)],
    ),
    "a request behind an upgrade that is not taken": (
        G + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" + INNER,
        [ROOT, INSIDE],
    ),
    "a request behind an upgrade to h2c": (G + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n" + INNER, [ROOT, INSIDE]),
    "a body behind an upgrade": (
        P + b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nX" + INNER,
        [(b"POST", b"/", b"X"), INSIDE],
    ),
    "a body in HTTP/1.0": (b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nX", [(b"POST", b"/", b"X")]),
    "coding in other letters": (P + b"tRANSFER-eNCODING: CHUNKED\r\n\r\n1\r\nX\r\n0\r\n\r\n", [(b"POST", b"/", b"X")]),
    "coding behind tabs": (P + b"Transfer-Encoding:\t\tchunked\t\r\n\r\n1\r\nX\r\n0\r\n\r\n", [(b"POST", b"/", b"X")]),
    "length behind blanks": (P + b"Content-Length:  1 \r\n\r\nX", [(b"POST", b"/", b"X")]),
    "length with leading zeros": (P + b"Content-Length: 0001\r\n\r\nX", [(b"POST", b"/", b"X")]),
    "chunks with extensions and trailers": (CHUNKED + b"1 ;a=b\r\nX\r\n0\r\nA: b\r\n\r\n", [(b"POST", b"/", b"X")]),
    "an empty line first": (b"\r\n" + G + b"\r\n", [ROOT]),
    "a target with its host": (b"GET http://M/a?b HTTP/1.1\r\n" + H + b"\r\n", [(b"GET", b"/a?b", b"")]),
    "a target that climbs": (
        b"GET /v1/../../%2e%2e/stats HTTP/1.1\r\n" + H + b"\r\n",
        [(b"GET", b"/v1/../../%2e%2e/stats", b"")],
    ),
    "a target with two slashes": (b"GET //stats HTTP/1.1\r\n" + H + b"\r\n", [(b"GET", b"//stats", b"")]),
}


@pytest.mark.parametrize(("data", "requests"), SERVED.values(), ids=SERVED.keys())
def test_what_can_be_read_in_one_way_only_is_served_as_that(
    target: Target, data: bytes, requests: list[tuple[bytes, bytes, bytes]]
) -> None:
    last = b"GET /last HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n"
    with Client(target.world.port) as client:
        client.send(data if b"HTTP/1.0" in data else data + last)
        answer = client.until_closed()
    expected = requests if b"HTTP/1.0" in data else [*requests, (b"GET", b"/last", b"")]
    assert statuses(answer) == [b"200"] * len(expected)
    assert target.seen() == expected


@pytest.mark.parametrize("path", ["/stats", "/ready", "/metrics/../stats", "/healthz?wait=1", "/admin"])
def test_the_port_for_requests_gives_nothing_of_ours_away(target: Target, path: str) -> None:
    answer = ask(target.world.port, path)
    assert b"pilotlight" not in answer.lower()
    assert b"waiting_seconds" not in answer
    target.seen()


@pytest.mark.parametrize(
    "line",
    [
        "Pilotlight-Probe: 1",
        "pIlOtLiGhT-pRoBe: activator",
        "User-Agent: kube-probe/1.30",
        "Connection: pilotlight-probe\r\nPilotlight-Probe: x",
    ],
)
def test_who_calls_himself_a_probe_is_answered_and_gets_nothing_done(target: Target, line: str) -> None:
    with Client(target.world.port) as client:
        client.send(P + line.encode() + b"\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwork")
        answer = client.until_closed()
    assert statuses(answer) == [b"200"]
    assert target.seen() == []


def test_our_own_headers_are_taken_from_what_passes(target: Target) -> None:
    ask(target.world.port, "/x", "Pilotlight-Secret: a", "PILOTLIGHT-WAIT: comments", "X-Pilotlight-Not: c")
    request = target.model.requests[-1]
    assert [name for name, _ in request.headers if b"pilotlight" in name] == [b"x-pilotlight-not"]
    target.seen()


def test_work_that_looks_like_a_scrape_is_counted(target: Target) -> None:
    before = target.world.metric("queue_proxy", "pilotlight_queue_proxy_arrived_total")
    ask(target.world.port, "/chat", "User-Agent: Prometheus/3", "Content-Length: 0", "Upgrade: websocket")
    with Client(target.world.port) as client:
        client.send(b"GET /chat HTTP/1.1\r\nHost: m\r\nUser-Agent: Prometheus/3\r\nConnection: upgrade\r\n")
        client.send(b"Upgrade: websocket\r\n\r\n")
        client.until(b"ok")
        client.send(b"GET /chat HTTP/1.1\r\nHost: m\r\nUser-Agent: Prometheus/3\r\nContent-Length: 1\r\n\r\nX")
        client.until(b"ok")
    assert target.world.metric("queue_proxy", "pilotlight_queue_proxy_arrived_total") - before == 2
    target.seen()


ADMIN = [name for name in REFUSED if not name.startswith(("chunk", "trailer", "last chunk"))]


@pytest.mark.parametrize("name", ADMIN)
def test_the_admin_port_refuses_the_same(target: Target, name: str) -> None:
    data, status = REFUSED[name]
    for port in target.world.admin.values():
        with Client(port) as client:
            client.send(data)
            assert statuses(client.until_closed()) == [b"%d" % status]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//stats",
        "/stats/",
        "/stats/../healthz",
        "/healthz/..",
        "/%68ealthz",
        "/stats%00",
        "/../healthz",
        "/metrics;x",
        "/debug",
        "/.git/config",
        "*",
    ],
)
def test_the_admin_port_has_its_pages_and_no_other(target: Target, path: str) -> None:
    for port in target.world.admin.values():
        assert statuses(ask(port, path)) == [b"400" if path == "*" else b"404"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("wait=nan", 400),
        ("wait=inf", 400),
        ("wait=-1", 400),
        ("wait=" + "9" * 5_000, 400),
        ("wait=1e3", 200),
        ("wait=%FF", 400),
        ("wait=%00", 400),
        ("&" * 60_000, 200),
        ("&".join("a=1" for _ in range(10_000)), 200),
        ("wait=", 400),
        ("wait=0x10", 400),
    ],
)
def test_questions_to_the_admin_port_are_read_with_care(target: Target, query: str, status: int) -> None:
    answer = ask(target.world.admin["queue_proxy"], f"/ready?{query}")
    assert statuses(answer) == [b"%d" % status]
    assert len(answer) < 1_000
