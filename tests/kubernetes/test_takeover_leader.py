"""The leader is killed in a burst, or stands still for longer than its lease: one acts, and it knows enough."""

from __future__ import annotations

import asyncio
import math
import signal
import time

from tests.cluster.cluster import Cluster
from tests.kubernetes.client_load import Clients
from tests.kubernetes.controllers import Controllers, Json, Pod, eventually
from tests.kubernetes.installation import Installation
from tests.kubernetes.managed_service import ManagedService, inference_service

BURST = 500
LIMIT, MOST = 4, 4
SERVICE_SECONDS = 0.4
# Held requests alone are 12 s of work for all replicas, so that the burst outlasts a takeover.
MODEL = (f"--service-seconds={SERVICE_SECONDS}", f"--slots={LIMIT}", "--load-seconds=0.3")
POLICY = {"stable-window": "6s", "scale-to-zero-grace-period": "1s", "backlog-drain-objective": "2s"}
PREDICTOR = {"maxReplicas": MOST, "containerConcurrency": LIMIT}
# The lease's five seconds and the longest time until somebody looks; twice, as a processor is waited for, too.
LED_AGAIN_SECONDS = 2 * (5.0 + 1.2)
PROGRAM = "autoscaler.controller"


async def test_the_leader_killed_in_a_burst_loses_nothing_and_the_next_one_knows_what_it_knew(
    inside: Cluster, installed: Installation
) -> None:
    controllers = Controllers(inside)
    body = inference_service("heir", policy=POLICY, predictor=PREDICTOR, arguments=MODEL)
    async with ManagedService(installed, body) as service:
        await service.awake(1)
        leader, other = await controllers.settled()
        await service.asleep()
        mark = inside.audit.mark()
        clients = Clients(service.infer)
        async with asyncio.TaskGroup() as group:
            group.create_task(clients.burst(BURST))
            await until_it_serves(clients)
            killed = time.time()
            leader.signal(PROGRAM, signal.SIGKILL)
            took = await takes_over(controllers, other, killed)
            said = await knows(controllers, service.name)
            decided = time.time() - killed
        await service.asleep()
        writes = controllers.scales(service.name, mark)
        acted = [event.at.timestamp() - killed for event in controllers.writes(mark) if event.pod == other.name]
        first = said["decisions"][0]
        print(f"\n{clients}\nthe next leads {took:.2f} s after the kill, writes after {min(acted):.2f} s, has decided")
        print(f"after {decided:.2f} s: {first['desired']} replicas, {first['explanation']}")
        print(f"orders: {[(round(event.at.timestamp() - killed, 2), event.replicas) for event in writes]}")

        assert clients.lost == {}
        assert too_low(clients, [(event.at.timestamp(), event.replicas) for event in writes]) == []
        assert min(acted) < LED_AGAIN_SECONDS, "it says where it is, at once"
        # It was not blind: what the windows say is the load of the seconds before it led.
        assert first["desired"] == MOST, first
        assert "known" in said["readings"]["in_flight"], said["readings"]
        assert not [event for event in controllers.writes(mark) if event.code == 403]


async def test_a_leader_that_stood_still_for_longer_than_its_lease_writes_nothing_more(
    inside: Cluster, installed: Installation
) -> None:
    controllers = Controllers(inside)
    body = inference_service("still", policy=POLICY, predictor=PREDICTOR, arguments=MODEL)
    async with ManagedService(installed, body) as service:
        await service.awake(1)
        leader, other = await controllers.settled()
        mark = inside.audit.mark()
        clients = Clients(service.infer)
        async with clients.steadily(every=0.12):
            # It stops while it has orders to place: a number that grows, and where connections are led.
            await asyncio.sleep(1.0)
            stopped = time.time()
            leader.signal(PROGRAM, signal.SIGSTOP)
            try:
                took = await takes_over(controllers, other, stopped)
                await knows(controllers, service.name)
            finally:
                leader.signal(PROGRAM, signal.SIGCONT)
            went_on = time.time()
            await stands_by(controllers, leader)
            await asyncio.sleep(3.0)
        await service.asleep()
        late = [
            event for event in controllers.writes(mark) if event.pod == leader.name and event.at.timestamp() > stopped
        ]
        leases = [
            event
            for event in inside.audit.writes(controllers.user, mark)
            if event.pod == leader.name and event.at.timestamp() > went_on and event.code < 300
        ]
        print(f"\n{clients}\nthe next leads {took:.2f} s after the stop; writes of the old one after it: {len(late)}")
        assert late == []
        assert leases == [], "nor does it take the lease back"
        assert clients.lost == {}
        assert too_low(clients, [(e.at.timestamp(), e.replicas) for e in controllers.scales(service.name, mark)]) == []


async def until_it_serves(clients: Clients) -> None:
    """Wait for the first answer: replicas are there, more are on their way, and most of the burst waits."""

    async def answered() -> bool:
        return bool(clients.sent)

    await eventually(answered, 30.0, "the first answer")


async def takes_over(controllers: Controllers, other: Pod, since: float) -> float:
    """Wait until it leads; seconds since then."""

    async def leads() -> bool:
        return await controllers.leader() == other

    await eventually(leads, 15.0, f"{other.name} to lead")
    return time.time() - since


async def knows(controllers: Controllers, service: str) -> Json:
    """What the leader says once it has decided."""

    async def decided() -> Json | None:
        said = await controllers.explained(service)
        return said if said is not None and said["decisions"] else None

    return await eventually(decided, 10.0, "its first decision")


async def stands_by(controllers: Controllers, pod: Pod) -> None:
    async def heard() -> bool:
        said = await controllers.ask(pod, "/healthz")
        return said is not None and said["leads"] is False

    await eventually(heard, 5.0, f"{pod.name} to stand by")


def too_low(clients: Clients, orders: list[tuple[float, int | None]]) -> list[tuple[float, int, int]]:
    """Orders of fewer replicas than before and than the requests that were open needed: when, how many, how many."""
    wrong = []
    before = 0
    for at, replicas in orders:
        assert replicas is not None
        needed = min(MOST, math.ceil(clients.open_at(at) / LIMIT))
        if replicas < min(before, needed):
            wrong.append((at, replicas, needed))
        before = replicas
    return wrong
