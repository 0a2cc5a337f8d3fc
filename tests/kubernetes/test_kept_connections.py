"""Clients that keep their connections for ever: none of their requests fails, and none of them stays on an activator.

A connection that kube-proxy has made stays where it is, so whoever was held in an activator would be served by way of
it until somebody moves him.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp
import grpc
import grpc.aio

from tests.cluster.cluster import Cluster
from tests.cluster.inference_server_image import IMAGE
from tests.kubernetes.installation import ACTIVATOR, Installation
from tests.kubernetes.managed_service import QUICK, ManagedService, inference_service
from tests.kubernetes.requests_sent import ask

# The activator only at zero: so it leaves the path as soon as pods have connections led to them.
_ONLY_AT_ZERO = {**QUICK, "target-burst-capacity": "0"}
_EVERY = 0.05
_QUIET_SECONDS = 2.0
_METHOD = "/canary.Echo/Ask"
_GRPC_SERVER = """
import concurrent.futures, grpc
class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((Echo(),))
server.add_insecure_port("0.0.0.0:9000")
server.start()
server.wait_for_termination()
"""


def grpc_model() -> dict[str, object]:
    """A gRPC server of gRPC's own making."""
    return {
        "name": "kserve-container",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", _GRPC_SERVER],
        "ports": [{"name": "h2c", "containerPort": 9000, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1},
    }


class KeptConnections:
    """Sends a request every 50 ms by connections that it never closes, and counts what goes wrong."""

    def __init__(self, ask_once: Callable[[], Awaitable[str]]) -> None:
        """`ask_once` returns what went wrong, or nothing."""
        self._ask_once = ask_once
        self.answered = 0
        self.failed: Counter[str] = Counter()

    async def send(self, until: asyncio.Event) -> None:
        """Until told to end; then the last answers are waited for."""
        tasks: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while not until.is_set():
            tasks.add(asyncio.create_task(self._one()))
            due += _EVERY
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*tasks)

    async def _one(self) -> None:
        wrong = await self._ask_once()
        if wrong:
            self.failed[wrong] += 1
        else:
            self.answered += 1


async def follow(service: ManagedService, clients: KeptConnections, how: str) -> None:
    """Twice from zero until no client is on an activator any more, and back."""
    for round_ in (1, 2):
        await service.at_rest()
        enough = asyncio.Event()
        sending = asyncio.create_task(clients.send(enough))
        began = time.monotonic()

        async def left() -> bool:
            ours = [one for one in await service.slices() if _ours(one)]
            return not any(endpoint["conditions"]["ready"] for one in ours for endpoint in one["endpoints"] or ())

        await service.until(left, "the activator to leave the path", 60)
        out = time.monotonic() - began
        arrived = await _arrived(service)

        async def quiet() -> bool:
            nonlocal arrived
            before, answered = arrived, clients.answered
            await asyncio.sleep(_QUIET_SECONDS)
            arrived = await _arrived(service)
            return arrived == before and clients.answered > answered

        await service.until(quiet, "all clients to have left the activators", 60)
        moved = time.monotonic() - began - out - _QUIET_SECONDS
        enough.set()
        await sending
        print(
            f"\n{how}, round {round_}: out of the path after {out:.1f} s, all clients moved {moved:.1f} s later;"
            f" {clients.answered} answered, failed: {dict(clients.failed)}"
        )
    assert clients.failed == {}, how


def _ours(endpoint_slice: dict[str, dict[str, str]]) -> bool:
    return endpoint_slice["metadata"]["name"].endswith("-pilotlight")


async def _arrived(service: ManagedService) -> float:
    found = await asyncio.to_thread(service.installed.metrics, ACTIVATOR)
    start, label = "pilotlight_activator_arrived_total{", f'"default/{service.name}"'
    return sum(value for series, value in found.items() if series.startswith(start) and label in series)


async def test_no_request_on_a_kept_connection_fails_and_none_stays_on_an_activator(
    inside: Cluster, installed: Installation
) -> None:
    await asyncio.gather(_by_http(installed), _by_grpc(installed))


async def _by_http(installed: Installation) -> None:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3600)
    async with (
        ManagedService(installed, inference_service("kept", policy=_ONLY_AT_ZERO)) as service,
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session,
    ):
        await service.awake_once()

        async def ask_http() -> str:
            outcome = await ask(session, service.infer)
            return "" if outcome.status == 200 else f"{outcome.status} {outcome.error}"

        await follow(service, KeptConnections(ask_http), "an HTTP pool")


async def _by_grpc(installed: Installation) -> None:
    body = inference_service("kept-grpc", policy=_ONLY_AT_ZERO, containers=[grpc_model()])
    async with (
        ManagedService(installed, body) as service,
        grpc.aio.insecure_channel("kept-grpc-predictor.default.svc.cluster.local:80") as channel,
    ):
        await service.awake_once()
        call = channel.unary_unary(_METHOD)

        async def ask_grpc() -> str:
            try:
                return "" if await call(b"light", timeout=60) == b"light" else "another answer"
            except grpc.aio.AioRpcError as error:
                return f"{error.code()}: {error.details()}"

        await follow(service, KeptConnections(ask_grpc), "a gRPC channel")
