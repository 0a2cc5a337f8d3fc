"""The controllers of an installation: who leads, what it says, what it wrote; and how one is killed, or stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from tests.cluster.audit import AuditEvent, service_account
from tests.cluster.cluster import Cluster
from tests.kubernetes.installation import ACTIVATOR, CONTROLLER, NAMESPACE

USER = service_account(NAMESPACE, CONTROLLER)
_API = 7330
_ASK_SECONDS = 1.0

Found = TypeVar("Found")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pod:
    """One of ours."""

    name: str
    uid: str
    node: int
    address: str
    ready: bool

    def process(self, program: str) -> int:
        """The process in it whose command line has `program`. Raises LookupError."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                inside = self.uid in (entry / "cgroup").read_text()
                if inside and program in (entry / "cmdline").read_bytes().decode(errors="replace"):
                    return int(entry.name)
            except OSError:  # gone meanwhile
                continue
        raise LookupError(f"{self.name} has no process of {program}")

    def signal(self, program: str, number: signal.Signals) -> None:
        os.kill(self.process(program), number)


def pods(cluster: Cluster, component: str, namespace: str = NAMESPACE) -> dict[str, Pod]:
    """The pods of one component that are there to stay, by name."""
    found: Json = json.loads(
        cluster.kubectl("get", "pods", "-n", namespace, "-l", f"app.kubernetes.io/name={component}", "-o", "json")
    )
    return {
        item["metadata"]["name"]: Pod(
            name=item["metadata"]["name"],
            uid=item["metadata"]["uid"],
            node=int(item["spec"].get("nodeName", "node-0").removeprefix("node-")),
            address=item["status"].get("podIP", ""),
            ready=any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", [])),
        )
        for item in found["items"]
        if "deletionTimestamp" not in item["metadata"]
    }


def restarted(cluster: Cluster) -> dict[str, int]:
    """How often the containers of each pod of ours were restarted, of those that are there to stay."""
    found = json.loads(cluster.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))
    return {
        pod["metadata"]["name"]: sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))
        for pod in found["items"]
        if "deletionTimestamp" not in pod["metadata"]
    }


async def eventually(condition: Callable[[], Awaitable[Found | None]], seconds: float, what: str) -> Found:
    """The first true answer. Raises AssertionError after so many seconds."""
    until = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < until, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.05)
    return found


async def said_at(address: str, path: str, port: int = _API) -> Json | None:
    """What a component's API says at an address; None while nobody answers there."""
    timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{address}:{port}{path}") as answer,
        ):
            said: Json = await answer.json()
            return said
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None


class Controllers:
    """Ask from inside the cluster's network: it needs no API server."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.pods: Mapping[str, Pod] = {}

    @property
    def user(self) -> str:
        """Under which name the audit log has them."""
        return USER

    async def ask(self, pod: Pod, path: str) -> Json | None:
        """What one of them says; None while it does not answer."""
        return await said_at(pod.address, path)

    async def look(self) -> Mapping[str, Pod]:
        """Which pods there are, from the API server."""
        self.pods = await asyncio.to_thread(pods, self.cluster, CONTROLLER)
        return self.pods

    async def leader(self) -> Pod | None:
        """Who says of itself that it leads."""
        for pod in self.pods.values():
            said = await said_at(pod.address, "/healthz") if pod.address else None
            if said is not None and said["leads"] is True:
                return pod
        return None

    async def settled(self) -> tuple[Pod, Pod]:
        """Who leads and who could take over at once, as soon as both are there and all activators are connected."""

        async def there() -> tuple[Pod, Pod] | None:
            await self.look()
            activators = await asyncio.to_thread(pods, self.cluster, ACTIVATOR)
            leader = await self.leader()
            if leader is None or len(self.pods) != 2 or not all(pod.ready for pod in activators.values()):
                return None
            other = next(pod for pod in self.pods.values() if pod != leader)
            follows = await said_at(other.address, "/healthz")
            told = await said_at(leader.address, "/services")
            connected = told is not None and set(told["activators"]) == set(activators) and len(activators) == 2
            return (leader, other) if connected and follows is not None and follows["synced"] is True else None

        return await eventually(there, 60.0, "two controllers and two activators")

    async def explained(self, service: str, last: int = 1000) -> Json | None:
        """What the leader says of a service."""
        leader = await self.leader()
        if leader is None:
            return None
        said = await said_at(leader.address, f"/explain/default/{service}?last={last}")
        return None if said is None or ("error" in said and "service" not in said) else said

    def writes(self, since: int) -> list[AuditEvent]:
        """What controllers have written since a mark, the lease apart."""
        return [event for event in self.cluster.audit.writes(USER, since) if event.resource != "leases"]

    def scales(self, service: str, since: int) -> list[AuditEvent]:
        """Numbers of replicas that were written for a service since a mark."""
        name = f"{service}-predictor"
        return [event for event in self.writes(since) if event.name == name and event.replicas is not None]

    def lists(self, since: int) -> Counter[str]:
        """How often they have listed what since a mark."""
        return Counter(event.resource for event in self.cluster.audit.events(since, USER) if event.verb == "list")
