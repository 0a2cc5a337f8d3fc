"""Two controllers on a real cluster: one leads, is found by its Service, and is followed when it ends, dies or stops.

Controllers and the activator are processes in node 1's network, with service accounts that have exactly the rights that
are needed.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest

from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text
from tests.cluster.audit import service_account
from tests.cluster.cluster import Cluster
from tests.kubernetes import predictor_objects as given
from tests.kubernetes.kserve_side import install_kinds

NAME = "pilotlight-controller"
API = {"one": 7_330, "two": 7_340}
Found = TypeVar("Found")
ACTIVATOR = "pilotlight-activator"
RIGHTS: list[dict[str, object]] = [
    *given.RIGHTS,
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
]


def house(namespace: str) -> tuple[dict[str, object], ...]:
    """A namespace with the accounts, and the Service without a selector."""
    role = f"{NAME}-{namespace}"
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        *(service_account_object(name, namespace) for name in (NAME, ACTIVATOR, "stranger")),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": role},
            "rules": RIGHTS,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": namespace},
            "spec": {"ports": [{"name": "api", "port": 7330}, {"name": "control", "port": 7331}]},
        },
    )


def service_account_object(name: str, namespace: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


class House:
    """A namespace in which controllers and activators run, as processes of node 1."""

    def __init__(self, cluster: Cluster, namespace: str, logs: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.logs = logs
        self.kubeconfig = cluster.credentials(namespace, NAME)
        node = json.loads(cluster.kubectl("get", "node", "node-1", "-o", "json"))
        self.node = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
        service = json.loads(cluster.kubectl("get", "service", NAME, "-n", namespace, "-o", "json"))
        self.address = text(inner(service, "spec"), "clusterIP")
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def controller(self, identity: str, port: int) -> None:
        """Start one: API on `port`, control on the one after it."""
        self._start(
            identity,
            ["env", f"POD_IP={self.node}", sys.executable, "-m", "autoscaler.controller"],
            ["--cluster", f"kubernetes:{self.kubeconfig}", "--lease", f"{self.namespace}/{NAME}"],
            ["--identity", identity, "--activators", f"{self.namespace}/{ACTIVATOR}"],
            ["--api", f"0.0.0.0:{port}", "--control", f"0.0.0.0:{port + 1}"],
        )

    def activator(self, name: str, account: str = ACTIVATOR) -> None:
        """Start one, with a token of that account."""
        token = self.logs / f"{name}.token"
        duration = ["--audience", NAME, "--duration", "1h"]
        token.write_text(self.cluster.kubectl("create", "token", account, "-n", self.namespace, *duration).strip())
        self._start(
            name,
            [sys.executable, "-m", "activator", "--name", name, "--bind", self.node],
            ["--control", f"http://{self.address}:7331", "--control-token", str(token)],
        )

    def _start(self, name: str, *argv: list[str]) -> None:
        words = [word for part in argv for word in part]
        self.running[name] = self.cluster.start_in_node(1, words, self.logs / f"{name}.log")

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal one, and wait for it to end."""
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(timeout=10)

    async def ask(self, path: str, address: str = "", port: int = 7330) -> JsonObject | None:
        """What whoever the Service leads to says, or who is at an address; None while nobody answers there."""
        url = f"http://{address or self.address}:{port}{path}"
        timeout = aiohttp.ClientTimeout(total=1)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, headers={"Host": NAME}) as answer,
            ):
                return {**(await answer.json()), "code": answer.status}
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def leader(self) -> str:
        """Who leads, as whom the Service leads to says it of itself; empty while nobody does."""
        said = await self.ask("/healthz")
        return text(said, "leader").rpartition("_")[0] if said is not None and said["leads"] is True else ""


@pytest.fixture
def prepared(inside: Cluster, tmp_path: Path) -> Iterator[House]:
    install_kinds(inside)
    namespace = f"house-{uuid.uuid4().hex[:6]}"
    inside.apply(*house(namespace))
    made = House(inside, namespace, tmp_path)
    yield made
    for name in list(made.running):
        made.end(name, signal.SIGKILL)
    inside.kubectl("delete", "namespace", namespace, "--wait=false")


@asynccontextmanager
async def two_controllers(there: House) -> AsyncIterator[tuple[str, str]]:
    """Who leads, and who stands by."""
    for identity, port in API.items():
        there.controller(identity, port)
    leader = await eventually(there.leader, 20.0)
    follower = "two" if leader == "one" else "one"

    async def stands_by() -> bool:
        said = await there.ask("/healthz", there.node, API[follower])
        return said is not None and said["synced"] is True and text(said, "leader").startswith(f"{leader}_")

    await eventually(stands_by, 20.0)
    yield leader, follower


async def eventually(condition: Callable[[], Awaitable[Found]], seconds: float) -> Found:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = await condition()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain")


async def test_one_leads_is_found_by_the_service_and_the_other_says_who(prepared: House) -> None:
    mark = prepared.cluster.audit.mark()
    async with two_controllers(prepared) as (leader, follower):
        said = await prepared.ask("/services", prepared.node, API[follower])
        assert said is not None
        assert said["code"] == 503
        assert text(said, "leader").startswith(f"{leader}_")
        ready = await prepared.ask("/readyz", prepared.node, API[follower])
        assert ready is not None
        assert ready["code"] == 200, "it stands by with all it needs to know"
    user = service_account(prepared.namespace, NAME)
    assert prepared.cluster.audit.forbidden(user, since=mark) == []


@pytest.mark.parametrize(
    ("number", "within"), [(signal.SIGTERM, 3.0), (signal.SIGKILL, 8.0)], ids=["orderly", "killed"]
)
async def test_when_the_leader_ends_the_other_takes_over_with_its_activators(
    prepared: House, number: signal.Signals, within: float
) -> None:
    async with two_controllers(prepared) as (leader, follower):
        await asyncio.to_thread(prepared.activator, "a")

        async def connected() -> bool:
            said = await prepared.ask("/services")
            return said is not None and said.get("activators") == ["a"]

        await eventually(connected, 10.0)
        ended = time.monotonic()
        ending = asyncio.create_task(asyncio.to_thread(prepared.end, leader, number))

        async def taken_over() -> bool:
            return await prepared.leader() == follower

        await eventually(taken_over, 15.0)
        took = time.monotonic() - ended
        await eventually(connected, 10.0)
        await ending
        print(f"\n{number.name}: leads after {took:.2f} s, activator there after {time.monotonic() - ended:.2f} s")
        assert took < within


async def test_a_leader_that_was_stopped_for_a_while_leads_no_longer_and_does_no_harm(prepared: House) -> None:
    async with two_controllers(prepared) as (leader, follower):
        stopped = prepared.running[leader]
        stopped.send_signal(signal.SIGSTOP)

        async def taken_over() -> bool:
            return await prepared.leader() == follower

        try:
            await eventually(taken_over, 15.0)
        finally:
            stopped.send_signal(signal.SIGCONT)

        async def stands_by() -> bool:
            said = await prepared.ask("/healthz", prepared.node, API[leader])
            return said is not None and said["leads"] is False

        await eventually(stands_by, 5.0)
        for _ in range(20):
            assert await prepared.leader() == follower, "and where the leader is was not changed back"
            await asyncio.sleep(0.1)


async def test_a_stranger_with_a_token_of_his_own_does_not_get_in(prepared: House) -> None:
    async with two_controllers(prepared):
        await asyncio.to_thread(prepared.activator, "stranger", "stranger")

        async def refused() -> bool:
            url = f"http://{prepared.address}:7330/metrics"
            async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": NAME}) as answer:
                lines = (await answer.text()).splitlines()
            return any(
                line.startswith("pilotlight_activators_refused_total") and float(line.split()[1]) > 0 for line in lines
            )

        await eventually(refused, 10.0)
        said = await prepared.ask("/services")
        assert said is not None
        assert said["activators"] == []


async def test_at_rest_the_lease_is_all_that_is_written(prepared: House) -> None:
    user = service_account(prepared.namespace, NAME)
    async with two_controllers(prepared):
        await asyncio.sleep(3)
        mark = prepared.cluster.audit.mark()
        await asyncio.sleep(10)
        written = {(event.resource, event.verb) for event in prepared.cluster.audit.writes(user, since=mark)}
        assert written == {("leases", "update")}
