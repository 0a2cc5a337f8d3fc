"""The read-only API: what it says, and to whom it says nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.cluster.interface import ReplicaPhase, ServiceView
from autoscaler.controller.api import api_application
from autoscaler.controller.metrics import CATALOGUE, OF_LEADERSHIP, Metrics, Sample, metrics_page
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.service_samples import service_samples
from autoscaler.controller.settings import Cadence
from autoscaler.signals.present import LiveSources
from tests.integration.controller.controller_links import served
from tests.unit.controller.controller_builders import CHAT, inference_service, replica, stats, view

NOW = 1_020.0


class Shown:
    """What a controller with these services knows."""

    activators = ("main",)
    seen_cluster = True
    recording = None
    cluster_trouble = ("the watch of pods was cut",)
    standing_by = ""
    leader = "one"
    synced = True

    def __init__(self, *views: ServiceView) -> None:
        self._services = {}
        for shown in views:
            control = ServiceControl(shown, Cadence(), 1_000.0)
            control.viewed(shown, 1_000.0)
            self._services[shown.service] = control
        self._metrics = Metrics(self)

    @property
    def services(self) -> Mapping[str, ServiceControl]:
        return self._services

    async def metrics_text(self) -> bytes:
        return metrics_page(OF_LEADERSHIP, lambda: ()) + await self._metrics.text()

    def of_the_controller(self) -> Iterable[Sample]:
        return ()

    def names(self) -> list[str]:
        return list(self._services)

    def of_a_service(self, service: str) -> Iterable[Sample]:
        return service_samples(self._services[service], NOW)


@asynccontextmanager
async def api(
    shown: Shown, host: str = "127.0.0.1", pod: str = "", recorded: Path | None = None
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    async with (
        served(api_application(shown, lambda: NOW, host, pod=pod, recorded=recorded)) as url,
        aiohttp.ClientSession() as session,
    ):
        yield session, url


def busy() -> Shown:
    """One service: a busy replica, one that failed to start, an activator that holds two."""
    failed = replica("chat-b", ReplicaPhase.FAILED, admin_port=None, reason="exit code 1\nCUDA out of memory")
    shown = Shown(view(replica("chat-a"), failed))
    control = shown.services[CHAT]
    for second in range(15):
        control.scraped("chat-a", stats("chat-a", 100.0 + second, running=3, waiting=1), 1_005.0 + second)
        control.pushed("main", stats("activator/main", 50.0 + second, waiting=2), 1_005.0 + second, urgent=False)
    control.evaluate(NOW)
    return shown


async def test_services_have_one_entry_each_with_what_a_person_asks_first() -> None:
    async with api(busy()) as (session, url), session.get(f"{url}/services") as answer:
        (entry,) = (await answer.json())["services"]
    expected = {
        "service": CHAT,
        "mode": "on",
        "wanted": 2,
        "ready": 1,
        "starting": 0,
        "failed": 1,
        "in_flight": 4.0,
        "held": 2.0,
        "port": 8081,
        "url": "http://127.0.0.1:8081",
        "error": None,
    }
    assert {key: entry[key] for key in expected} == expected
    assert entry["phase"] == "serving"
    assert entry["reason"]
    assert entry["explanation"]


async def test_what_is_not_known_is_null_and_not_zero() -> None:
    async with api(Shown(view(replica("chat-a")))) as (session, url), session.get(f"{url}/services") as answer:
        (entry,) = (await answer.json())["services"]
    assert entry["in_flight"] is None
    assert entry["held"] is None
    assert entry["phase"] is None


async def test_an_explanation_has_all_that_was_known_and_decided() -> None:
    async with api(busy()) as (session, url), session.get(f"{url}/explain/{CHAT}?last=5") as answer:
        said = await answer.json()
    assert said["policy"]["in_force"]["mode"] == "on"
    assert {"field": "mode", "key": "pilotlight.dev/scaling", "text": "on", "source": CHAT} in said["policy"]["origins"]
    assert said["readings"]["held"] == {"known": 2.0, "age": 1.0}
    (decision,) = said["decisions"]
    assert decision["service"] == CHAT
    assert decision["candidates"]
    a, b = said["replicas"]
    assert (a["running"], a["waiting"], a["heard_seconds_ago"]) == (3, 1, 1.0)
    assert b["reason"] == "exit code 1\nCUDA out of memory"
    assert said["activators"][0]["waiting"] == 2
    assert said["activators"][0]["connected"] is True


async def test_a_policy_that_cannot_be_read_is_explained() -> None:
    shown = Shown(view(isvc=inference_service(target="many")))
    async with api(shown) as (session, url), session.get(f"{url}/explain/{CHAT}") as answer:
        said = await answer.json()
    assert said["policy"]["in_force"] is None
    assert "pilotlight.dev/target" in said["policy"]["mistakes"][0]
    assert said["explanation"] == "not scaled: its policy cannot be read"


async def test_off_says_so() -> None:
    shown = Shown(view(isvc=inference_service(scaling="off")))
    async with api(shown) as (session, url), session.get(f"{url}/services") as answer:
        (entry,) = (await answer.json())["services"]
    assert (entry["mode"], entry["explanation"]) == ("off", "not scaled: the policy says off")


async def test_an_unknown_service_is_answered_with_the_known_ones() -> None:
    async with api(busy()) as (session, url), session.get(f"{url}/explain/default/chta") as answer:
        assert answer.status == 404
        assert await answer.json() == {"error": "there is no service default/chta", "services": [CHAT]}


async def test_before_the_cluster_was_seen_no_service_is_called_unknown() -> None:
    shown = Shown()
    shown.seen_cluster = False
    async with api(shown) as (session, url), session.get(f"{url}/explain/{CHAT}") as answer:
        assert answer.status == 503


@pytest.mark.parametrize("last", ["-1", "1001", "ten", "", "1.5", "9" * 5_000, "٣"])
async def test_last_is_a_small_whole_number(last: str) -> None:
    async with api(busy()) as (session, url), session.get(f"{url}/explain/{CHAT}", params={"last": last}) as answer:
        assert answer.status == 400
        assert "whole number from 0 to 1000" in (await answer.json())["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/explain/chat", 404), ("POST", "/services", 405), ("DELETE", f"/explain/{CHAT}", 405)],
)
async def test_errors_are_json(method: str, path: str, status: int) -> None:
    async with api(busy()) as (session, url), session.request(method, url + path) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7330",
        "127.0.0.1",
        "LOCALHOST:1",
        "[::1]:7330",
        "node.example:7330",
        "10.1.2.3:6443",
        "[fd00::2]",
    ],
)
async def test_a_host_that_is_meant_is_answered(host: str) -> None:
    async with (
        api(busy(), host="node.example") as (session, url),
        session.get(f"{url}/healthz", headers={"Host": host}) as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7330", "127.0.0.1.evil.example", "", "localhost.", "[::2", "::1"]
)
async def test_another_host_is_told_nothing(host: str) -> None:
    async with api(busy()) as (session, url):
        for path in ("/services", "/metrics", "/healthz", "/nothing"):
            async with session.get(url + path, headers={"Host": host}) as answer:
                assert answer.status in (400, 421)
                assert CHAT not in await answer.text()


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("/api/v1/namespaces/system/pods/controller-7d4f-x2x9z:7330/proxy/healthz", 200),
        ("/api/v1/namespaces/system/pods/controller-7d4f-aaaaa:7330/proxy/healthz", 421),
        ("/api/v1/namespaces/system/pods/:7330/proxy/healthz", 421),
        ("", 421),
    ],
)
async def test_a_proxy_with_a_name_of_its_own_has_to_say_for_which_pod_it_asks(forwarded: str, status: int) -> None:
    headers = {"Host": "kubernetes.example", "X-Forwarded-Uri": forwarded}
    async with (
        api(busy(), pod="controller-7d4f-x2x9z") as (session, url),
        session.get(f"{url}/healthz", headers=headers) as answer,
    ):
        assert answer.status == status


async def test_whoever_stands_by_says_who_leads_and_is_alive_and_ready() -> None:
    shown = busy()
    shown.standing_by = "this controller stands by; two leads"
    shown.leader = "two"
    async with api(shown) as (session, url):
        for path in ("/services", f"/explain/{CHAT}"):
            async with session.get(url + path) as answer:
                assert answer.status == 503
                assert await answer.json() == {"error": "this controller stands by; two leads", "leader": "two"}
        async with session.get(f"{url}/healthz") as answer:
            assert (answer.status, (await answer.json())["leads"]) == (200, False)
        async with session.get(f"{url}/readyz") as answer:
            assert answer.status == 200


async def test_whoever_has_not_seen_the_whole_cluster_is_alive_and_not_ready() -> None:
    shown = busy()
    shown.synced = False
    async with api(shown) as (session, url):
        async with session.get(f"{url}/healthz") as answer:
            assert answer.status == 200
        async with session.get(f"{url}/readyz") as answer:
            assert answer.status == 503


@pytest.mark.parametrize("path", ["/services", "/metrics"])
async def test_while_many_services_are_shown_everything_else_has_its_turn(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Shown(*(view(service=f"team/model-{number}") for number in range(100)))
    turns, looked_in = 0, Counter[int]()
    live = ServiceControl.live

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def look(self: ServiceControl, now: float) -> LiveSources:
        looked_in[turns] += 1
        return live(self, now)

    monkeypatch.setattr(ServiceControl, "live", look)
    counting = asyncio.create_task(count())
    async with api(shown) as (session, url), session.get(f"{url}{path}") as answer:
        assert answer.status == 200
        assert (await answer.text()).count("model-99") > 0
    counting.cancel()
    assert looked_in.total() == 100
    assert max(looked_in.values()) <= 25


async def test_metrics_are_what_the_catalogue_declares() -> None:
    async with api(busy()) as (session, url), session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    shown = {family.name: family for family in text_string_to_metric_families(text)}
    declared = {metric.name: metric for metric in CATALOGUE}
    assert {name for name in shown if not name.endswith("_created")} == set(declared)
    for name, family in shown.items():
        if name in declared:
            assert family.type == declared[name].kind.value
            assert family.documentation == declared[name].help
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(declared[name].labels)


async def test_metrics_have_the_values_of_the_last_decision() -> None:
    async with api(busy()) as (session, url), session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    values = {
        (sample.name, sample.labels.get("phase", sample.labels.get("mode", ""))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["pilotlight_requests_held", ""] == 2.0
    assert values["pilotlight_replicas", "failed"] == 1.0
    assert values["pilotlight_mode", "on"] == 1.0
    assert values["pilotlight_mode", "off"] == 0.0
    assert values["pilotlight_decisions_total", ""] == 1.0


async def test_everything_it_says_is_json_that_others_can_read() -> None:
    async with api(busy()) as (session, url):
        for path in ("/services", f"/explain/{CHAT}", "/healthz"):
            async with session.get(url + path) as answer:
                json.loads(await answer.text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


async def test_a_recording_is_sent_whole_or_for_one_service_up_to_its_last_whole_line(tmp_path: Path) -> None:
    ours = [
        '{"kind":"start","service":"default/chat"}',
        '{"kind":"decision","service":"default/chat","x":"' + "y" * 3000,
    ]
    ours[1] += '"}'
    others = ['{"kind":"start","service":"default/chats","said":"\\"service\\":\\"default/chat\\""}']
    lines = [*ours, *others] * 1000
    recorded = tmp_path / "run.jsonl"
    recorded.write_text("".join(f"{line}\n" for line in lines) + '{"kind":"start","service":"default/chat"')
    async with api(busy(), recorded=recorded) as (session, url):
        async with session.get(f"{url}/recording") as answer:
            assert (await answer.text()).splitlines() == lines
        async with session.get(f"{url}/recording?service={CHAT}") as answer:
            assert (await answer.text()).splitlines() == ours * 1000


async def test_where_nothing_is_recorded_it_says_how_to(tmp_path: Path) -> None:
    async with api(busy()) as (session, url), session.get(f"{url}/recording") as answer:
        assert answer.status == 404
        assert "--record" in (await answer.json())["error"]
    async with (
        api(busy(), recorded=tmp_path / "gone") as (session, url),
        session.get(f"{url}/recording") as answer,
    ):
        assert answer.status == 500
