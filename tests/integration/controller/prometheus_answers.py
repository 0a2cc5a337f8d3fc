"""A Prometheus that answers as a test says, and what is then told of the trouble with it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from autoscaler.cluster.interface import GpuMetricsError
from autoscaler.controller.readings.prometheus_gpus import PrometheusGpus
from autoscaler.controller.settings import PrometheusAddress
from tests.integration.controller.controller_links import served

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def matrix(*series: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}


def busy(at: float, value: str = "50") -> dict[str, object]:
    labels = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "UUID": "GPU-1", "pod": "chat-a", "namespace": "default"}
    return {"metric": labels, "values": [[at, value]]}


@asynccontextmanager
async def prometheus(answer: Answer, seconds: float = 1.0, token: Path | None = None) -> AsyncIterator[PrometheusGpus]:
    application = web.Application()
    application.router.add_get("/behind/api/v1/query", answer)
    async with served(application) as url:
        yield PrometheusGpus(PrometheusAddress(f"{url}/behind", token), seconds=seconds, largest_answer=100_000)


async def trouble(source: PrometheusGpus) -> str:
    """Why nothing could be read; the answer is there within the bound."""
    began = time.monotonic()
    with pytest.raises(GpuMetricsError) as raised:
        await source.pod_gpus(time.time)
    assert time.monotonic() - began < 4.0
    return str(raised.value)


def replying(status: int, body: bytes, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer
