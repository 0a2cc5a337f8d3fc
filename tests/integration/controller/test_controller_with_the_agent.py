"""The controller with the real node agent, real queue proxies and real model processes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from activator.messages import Endpoint, EndpointState
from tests.integration.controller.controller_process import Activator, ControllerProcess, eventually
from tests.integration.local_cluster.tiny_cluster import MODEL, SERVICE, ready, running_agent, tiny, until


def _sleepy() -> dict[str, object]:
    """In Knative's terms, so that a service which was never ready is started once without being asked for."""
    service = tiny("--load=0.3")
    service["metadata"] = {
        "name": "tiny",
        "annotations": {"autoscaling.knative.dev/window": "6s", "pilotlight.dev/scale-to-zero-grace-period": "1s"},
    }
    return service


async def _phase(controller: ControllerProcess) -> str | None:
    status, body = await controller.get("/services")
    assert status == 200
    found = [entry["phase"] for entry in json.loads(body)["services"]]
    return found[0] if found else None


@pytest.mark.slow
async def test_from_initial_scale_to_zero_through_restarts_and_awake_again(tmp_path: Path) -> None:
    assert MODEL.exists()
    folder = tmp_path / "run"
    async with running_agent(tmp_path, _sleepy()) as agent:
        controller = ControllerProcess(folder)
        await controller.start()
        try:
            async with Activator(folder) as activator:
                activator.hold(SERVICE, 0)
                (replica,) = await until(agent, ready(1))
                async with aiohttp.ClientSession() as http:
                    asking = asyncio.create_task(_ask(http, f"http://{replica.host}:{replica.port}/?seconds=3"))
                    await asyncio.sleep(1)
                    await controller.kill()
                    await controller.start()
                    assert await asking == 200
                await until(agent, ready(0), within=30)
                await controller.kill()
                await controller.start()

                async def asleep() -> bool:
                    return await _phase(controller) == "asleep"

                await eventually("the restarted controller to decide", asleep)
                await asyncio.sleep(3)
                assert agent.views[0].wanted == 0, "it has been ready once, and is not started again for that"
                assert agent.views[0].ever_ready

                activator.hold(SERVICE, 1)
                await activator.push(SERVICE, urgent=True)
                await until(agent, ready(1))

                async def routed() -> bool:
                    endpoints = activator.tables[-1].routes[0].endpoints
                    return [endpoint.state for endpoint in endpoints] == [EndpointState.READY]

                await eventually("the route", routed)
                activator.hold(SERVICE, 0)

                async def told() -> bool:
                    return any(endpoint.state is EndpointState.STARTING for endpoint in _endpoints(activator))

                await eventually("a starting endpoint in an earlier table", told)
        finally:
            await controller.kill()


def _endpoints(activator: Activator) -> list[Endpoint]:
    return [endpoint for table in activator.tables for route in table.routes for endpoint in route.endpoints]


async def _ask(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        await answer.read()
        return answer.status
