"""The control plane is slow, cut off again and again, or away for a minute: requests are served, and nothing is undone.

These come last of their kind, because they take the control plane away from everything else, too.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Sequence

import pytest

from tests.cluster.audit import AuditEvent
from tests.cluster.cluster import Cluster
from tests.kubernetes.client_load import Clients
from tests.kubernetes.controllers import Controllers, eventually, restarted
from tests.kubernetes.installation import CONTROLLER, Installation
from tests.kubernetes.managed_service import ManagedService, inference_service

MODEL = ("--service-seconds=0.1", "--slots=4", "--load-seconds=0.3")
POLICY = {"stable-window": "6s", "scale-to-zero-grace-period": "1s", "backlog-drain-objective": "2s"}
# One replica takes 40 requests a second: this keeps one awake and asks for no more.
EVERY = 0.2
API_PORT = 6443
AWAY_SECONDS = 60.0
CUTS, CUT_EVERY = 12, 5.0
WATCHES = 9  # of one controller, each on a resource of its own or with a selector of its own


def steady_and_sleeping(installed: Installation, name: str) -> tuple[ManagedService, ManagedService]:
    """Two services: one that will have requests all the time, and one that will sleep."""
    return (
        ManagedService(installed, inference_service(f"{name}-up", policy=POLICY, arguments=MODEL)),
        ManagedService(installed, inference_service(f"{name}-down", policy=POLICY, arguments=MODEL)),
    )


@pytest.mark.parametrize("component", ["etcd", "apiserver"])
async def test_a_control_plane_that_hangs_for_three_seconds_is_waited_for(
    inside: Cluster, installed: Installation, component: str
) -> None:
    controllers = Controllers(inside)
    serves, sleeps = steady_and_sleeping(installed, f"slow-{component}")
    async with serves, sleeps:
        await sleeps.awake(1)
        steady, woken = Clients(serves.infer), Clients(sleeps.infer)
        async with steady.steadily(EVERY):
            await controllers.settled()
            await sleeps.asleep()
            mark = inside.audit.mark()
            hang(inside, component, signal.SIGSTOP)
            async with asyncio.TaskGroup() as group:
                group.create_task(woken.burst(50))
                await asyncio.sleep(3.0)
                hang(inside, component, signal.SIGCONT)
        print(f"\nwoken meanwhile: {woken}\nawake all the while: {steady}")
        assert steady.lost == {}
        assert woken.lost == {}
        assert put_to_sleep(controllers, serves, mark) == []


async def test_watches_that_are_cut_every_five_seconds_go_on_where_they_were(
    inside: Cluster, installed: Installation
) -> None:
    controllers = Controllers(inside)
    serves, sleeps = steady_and_sleeping(installed, "cut")
    async with serves, sleeps:
        await sleeps.awake(1)
        steady, woken = Clients(serves.infer), Clients(sleeps.infer)
        async with steady.steadily(EVERY), asyncio.TaskGroup() as group:
            await controllers.settled()
            mark = inside.audit.mark()
            began = time.monotonic()
            wakes = 0
            for cuts in range(1, CUTS + 1):
                ended = cut_connections(inside, [pod.address for pod in controllers.pods.values()])
                assert ended >= WATCHES, "the controllers' connections"
                if not woken.under_way and await sleeps.wanted() == 0:
                    group.create_task(woken.burst(20))
                    wakes += 1
                await asyncio.sleep(max(0.0, began + cuts * CUT_EVERY - time.monotonic()))
            lists = controllers.lists(mark)
            await controllers.settled()
            await sleeps.asleep()
        print(f"\n{CUTS} cuts, {wakes} wakes: {woken}\nawake all the while: {steady}\nlists: {dict(lists)}")
        assert wakes >= 1
        assert woken.lost == {}
        assert steady.lost == {}
        del lists["scaledobjects"]  # whose definition is not there, which is asked for again once a minute
        assert sum(lists.values()) == 0, "a watch that was cut goes on; nothing is listed anew"
        assert put_to_sleep(controllers, serves, mark) == []


async def test_an_api_server_that_is_away_for_a_minute_and_has_forgotten_the_past_when_it_comes_back(
    inside: Cluster, installed: Installation
) -> None:
    controllers = Controllers(inside)
    serves, sleeps = steady_and_sleeping(installed, "away")
    async with serves, sleeps:
        await sleeps.awake(1)
        steady, woken = Clients(serves.infer), Clients(sleeps.infer, patience=200.0)
        async with steady.steadily(EVERY), asyncio.TaskGroup() as group:
            await controllers.settled()
            await sleeps.asleep()
            restarts = restarted(inside)
            mark = inside.audit.mark()
            inside.kill("apiserver")
            gone = time.monotonic()
            await asyncio.sleep(10.0)
            group.create_task(woken.burst(50))
            await asyncio.sleep(AWAY_SECONDS / 2)
            assert woken.under_way == 50, "nothing can be started, and nobody is sent away"
            compact_etcd()
            await asyncio.sleep(max(0.0, gone + AWAY_SECONDS - time.monotonic()))
            before = len(steady.sent)
            await asyncio.to_thread(inside.start, "apiserver")
            back, back_at = time.monotonic(), time.time()

            async def woke() -> bool:
                return len(woken.sent) == 50

            # Controller manager, scheduler and kubelet each wait for up to thirty seconds before they look again.
            await eventually(woke, 140.0, "whoever was held to be answered")
            served = time.monotonic() - back
            await controllers.settled()
            lists = controllers.lists(mark)
            ordered = next(event.at.timestamp() for event in controllers.scales(sleeps.name, mark)) - back_at
        print(f"\nheld from the 10th second on: {woken};")
        print(f"ordered {ordered:.1f} s, answered {served:.1f} s after the API server was back")
        print(f"awake all the while: {steady}, {before} of them while it was away\nlists: {dict(lists)}")
        assert steady.lost == {}
        assert woken.lost == {}
        assert put_to_sleep(controllers, serves, mark) == []
        assert restarted(inside) == restarts, "nothing of ours was restarted"
        # It answered watches that had been under way that it has forgotten what happened since.
        assert "listing anew" in installed.logs(CONTROLLER, 1000)
        # One for each watch of each of the two controllers, and one more where the server was not ready for it.
        assert sum(lists.values()) <= 2 * 2 * WATCHES
        await sleeps.asleep()


def hang(cluster: Cluster, component: str, number: signal.Signals) -> None:
    cluster.signal("etcd" if component == "etcd" else "apiserver", number)


def put_to_sleep(controllers: Controllers, service: ManagedService, mark: int) -> list[AuditEvent]:
    """Orders that would have put a service to sleep that had requests all the time."""
    return [event for event in controllers.scales(service.name, mark) if event.replicas == 0]


def cut_connections(cluster: Cluster, addresses: Sequence[str]) -> int:
    """Have the kernel end the API server's connections with these addresses; how many there were."""
    ended = 0
    for address in addresses:
        command = ["ss", "--kill", "--tcp", "--no-header", "sport", "=", f":{API_PORT}", "and", "dst", address]
        done = subprocess.run(cluster.in_node(1, command), capture_output=True, text=True, check=True)
        ended += len(done.stdout.splitlines())
    return ended


def compact_etcd() -> None:
    """Let etcd forget every revision but the newest, as it does every five minutes by the API server's order."""

    def call(path: str, body: dict[str, str]) -> dict[str, object]:
        asked = urllib.request.Request(f"http://127.0.0.1:2379/v3/kv/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(asked, timeout=5) as answer:
            said: dict[str, object] = json.load(answer)
        return said

    call("put", {"key": "Y29tcGFjdGVk", "value": ""})  # so that the newest is one that nobody has seen
    header = call("range", {"key": "Y29tcGFjdGVk"})["header"]
    assert isinstance(header, dict)
    call("compaction", {"revision": str(header["revision"])})
