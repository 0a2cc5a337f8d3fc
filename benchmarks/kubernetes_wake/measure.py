"""One wake and one burst: asking, and collecting afterwards what was written down of it."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from autoscaler.cluster.kubernetes.json_object import inner, objects, text
from benchmarks.kubernetes_wake.model import Journal, read_journal
from benchmarks.kubernetes_wake.phases import Burst, Wake
from benchmarks.kubernetes_wake.system import NAMESPACE, Address, System
from tests.cluster.cluster import Cluster
from tests.cluster.processes import ClusterError, wait_until

REQUESTS = 500
_PATIENCE = 60.0
# Between the last word of the cluster that a service sleeps and the next request: kube-proxies follow a second later.
_SETTLED_SECONDS = 2.0


class MeasureError(Exception):
    """A wake did not go as one does; the message says which and how."""


class Bench:
    """Measures services of one cluster, from within node 1's network."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._slept_since: dict[str, float] = {}

    def until_asleep(self, system: System, names: Sequence[str]) -> None:
        """Wait until none of these has replicas, wanted or there. Raises ClusterError."""
        for name in names:
            asleep = functools.partial(self._sleeps, system, name)
            wait_until(asleep, f"{system.name}: {name} to sleep", _PATIENCE)
        now = time.monotonic()
        since = max(self._slept_since.setdefault(name, now) for name in names)
        time.sleep(max(0.0, since + _SETTLED_SECONDS - now))

    def wake(self, system: System, name: str) -> Wake:
        """One request to a service that sleeps. Raises MeasureError."""
        mark = self._cluster.audit.mark()
        self._slept_since.pop(name, None)
        with self._cluster.inside():
            sent, answers, answered = asyncio.run(_ask(system.address(name), 1))
            if answers != 1:
                raise MeasureError(f"{system.name}: {name}: the request that should wake it was lost")
            # The answer may be there before kubelet has told where it came from.
            wait_until(lambda: bool(self._journals(system, name, sent)), f"the address of a pod of {name}", _PATIENCE)
            pod, journal = self._journals(system, name, sent)[0]
        events = [event for event in self._cluster.audit.events(mark) if event.at.timestamp() >= sent - 0.001]
        orders = [event.at.timestamp() for event in events if system.decided(event, name)]
        bound = [
            event.at.timestamp()
            for event in events
            if event.resource == "pods/binding" and event.name == pod and event.verb == "create"
        ]
        told = [
            event.at.timestamp()
            for event in events
            if event.resource == "pods/status" and event.name == pod and event.at.timestamp() >= journal.started
        ]
        if not orders or not bound or not told or not journal.reached:
            raise MeasureError(f"{system.name}: {name}: {len(orders)} orders, {len(bound)} bindings of {pod}")
        return Wake(
            sent=sent,
            decided=orders[0],
            scheduled=bound[0],
            started=journal.started,
            proxy=_proxy_started(system, pod),
            address=told[0],
            listening=journal.listening,
            reached=journal.reached[0],
            answered=answered,
        )

    def burst(self, system: System, name: str) -> Burst:
        """REQUESTS at once to a service that sleeps."""
        self._slept_since.pop(name, None)
        with self._cluster.inside():
            sent, answers, answered = asyncio.run(_ask(system.address(name), REQUESTS))
            journals = [journal for _, journal in self._journals(system, name, sent)]
        served = [journal for journal in journals if journal.reached]
        most = max((journal.most_at_once for journal in served), default=0)
        served.sort(key=lambda journal: journal.listening)
        return Burst(
            seconds=answered - sent,
            lost=REQUESTS - answers,
            listening=tuple(round(journal.listening - sent, 2) for journal in served),
            served=tuple(len(journal.reached) for journal in served),
            most_at_once=most,
        )

    def _sleeps(self, system: System, name: str) -> bool:
        try:
            found = self._cluster.kubectl("get", "deployment", system.deployment(name), "-n", NAMESPACE, "-o", "json")
        except ClusterError:
            return False
        deployment = json.loads(found)
        return deployment["spec"].get("replicas") == 0 and not deployment.get("status", {}).get("replicas")

    def _journals(self, system: System, name: str, since: float) -> list[tuple[str, Journal]]:
        """Of the pods that were started for this wake, by their first requests."""
        found = self._cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", system.selector(name), "-o", "json")
        journals = []
        for pod in objects(json.loads(found), "items"):
            metadata, address = inner(pod, "metadata"), text(inner(pod, "status"), "podIP")
            if text(metadata, "deletionTimestamp") or not address:
                continue
            try:
                journal = read_journal(address)
            except OSError:
                continue  # it does not listen yet, so nothing has reached it
            if journal.started >= since:
                journals.append((text(metadata, "name"), journal))
        return sorted(journals, key=lambda entry: min(entry[1].reached, default=float("inf")))


async def _ask(address: Address, count: int) -> tuple[float, int, float]:
    """When it began, how many were answered well, and when the last was."""
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def one() -> bool:
            try:
                async with session.get(address.url, headers=address.headers) as answer:
                    return answer.status == 200 and await answer.read() == b"done"
            except (aiohttp.ClientError, TimeoutError, OSError):
                return False

        began = time.time()
        answers = await asyncio.gather(*(one() for _ in range(count)))
        return began, sum(answers), time.time()


def _proxy_started(system: System, pod: str) -> float:
    """When the kernel started the proxy of `pod`, in seconds of the machine's clock. Raises MeasureError."""
    since_boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            if system.is_proxy(command.decode(errors="replace"), environment.decode(errors="replace"), pod):
                ticks = float((entry / "stat").read_text().rpartition(")")[2].split()[19])
                return since_boot + ticks / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue  # it has ended meanwhile
    raise MeasureError(f"{system.name}: no process is the proxy of {pod}")
