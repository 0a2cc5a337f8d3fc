"""The leader alone is cut off from the API server: it stops before another begins, and nothing of it comes late."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.cluster.cluster import Cluster
from tests.kubernetes.client_load import Clients
from tests.kubernetes.controllers import Controllers, Pod, eventually
from tests.kubernetes.installation import Installation
from tests.kubernetes.managed_service import ManagedService, inference_service

MODEL = ("--service-seconds=0.1", "--slots=4", "--load-seconds=0.3")
POLICY = {"stable-window": "6s", "scale-to-zero-grace-period": "1s", "backlog-drain-objective": "2s"}
TABLE = "cut-off"


async def test_a_leader_that_is_cut_off_from_the_api_server_stops_before_another_begins(
    inside: Cluster, installed: Installation
) -> None:
    controllers = Controllers(inside)
    async with (
        ManagedService(installed, inference_service("cut-up", policy=POLICY, arguments=MODEL)) as serves,
        ManagedService(installed, inference_service("cut-down", policy=POLICY, arguments=MODEL)) as sleeps,
    ):
        await sleeps.awake(1)
        await serves.awake(1)
        steady, woken = Clients(serves.infer), Clients(sleeps.infer)
        async with steady.steadily(every=0.2):
            leader, other = await controllers.settled()
            await sleeps.asleep()
            mark = inside.audit.mark()
            async with who_leads(controllers, leader, other) as seen:
                with cut_off(inside, leader.address):
                    cut = time.time()
                    # Something to do for who leads: this cannot be ordered by the one who still thinks so.
                    await woken.burst(50)
                    await eventually(lambda: leads_alone(controllers, other, leader), 15.0, f"{other.name} to lead")
                healed = time.time()
                await controllers.settled()
                await asyncio.sleep(5.0)  # what was on its way may be sent again until here
        late = [event for event in controllers.writes(mark) if event.pod == leader.name and event.at.timestamp() > cut]
        ordered = min(event.at.timestamp() for event in controllers.scales(sleeps.name, mark)) - cut
        stopped = next(at for at, first, _ in seen if at > cut and not first) - cut
        took_over = next(at for at, _, second in seen if second) - cut
        print(f"\ncut off for {healed - cut:.1f} s: stopped after {stopped:.1f} s, followed after {took_over:.1f} s,")
        print(f"which ordered after {ordered:.1f} s; woken: {woken}; awake all the while: {steady}")
        assert [both for both in seen if both[1] and both[2]] == [], "never two"
        assert [event for event in late if event.code < 300] == []
        assert woken.lost == {}
        assert steady.lost == {}
        assert [event for event in controllers.scales(serves.name, mark) if event.replicas == 0] == []


@contextmanager
def cut_off(cluster: Cluster, address: str) -> Iterator[None]:
    """Drop every packet between that address and the API server, and no other: nobody is told that it is away."""
    rules = f"""
        table inet {TABLE} {{
            chain in {{ type filter hook input priority 0; ip saddr {address} tcp dport 6443 drop; }}
            chain out {{ type filter hook output priority 0; ip daddr {address} tcp sport 6443 drop; }}
        }}"""
    subprocess.run(cluster.in_node(1, ["nft", "-f", "-"]), input=rules, text=True, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(cluster.in_node(1, ["nft", "delete", "table", "inet", TABLE]), check=True, capture_output=True)


@asynccontextmanager
async def who_leads(controllers: Controllers, first: Pod, second: Pod) -> AsyncIterator[list[tuple[float, bool, bool]]]:
    """Which of the two says of itself that it leads, asked all the time; with when it was asked."""
    seen: list[tuple[float, bool, bool]] = []

    async def look() -> None:
        while True:
            at = time.time()
            said = await asyncio.gather(leads(controllers, first), leads(controllers, second))
            seen.append((at, *said))
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()


async def leads(controllers: Controllers, pod: Pod) -> bool:
    said = await controllers.ask(pod, "/healthz")
    return said is not None and said["leads"] is True


async def leads_alone(controllers: Controllers, pod: Pod, other: Pod) -> bool:
    return await leads(controllers, pod) and not await leads(controllers, other)
