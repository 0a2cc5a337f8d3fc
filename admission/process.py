"""The webhook as a process: `pilotlight webhook`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiohttp import web

from admission.cluster import WebhookCluster
from admission.keeper import Keeper
from admission.rotation import Lifetimes
from admission.server import webhook_application
from autoscaler.cluster.kubernetes.connection import open_connection

_log = logging.getLogger(__name__)

# For so long after SIGTERM new connections are still taken: kube-proxies learn last that we end.
_NOTICE_SECONDS = 5.0
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """The command line.

    cluster    where the API server is: `in-cluster`, or the path of a kubeconfig
    image      that is put in; "": the one of `pod`, which is our own
    namespace  ours
    name       of Service, Secret and both webhook configurations
    """

    host: str
    port: int
    image: str
    pod: str
    cluster: str
    namespace: str
    name: str


def run_webhook(options: WebhookOptions) -> int:
    """Serve until SIGTERM or SIGINT.

    Raises ConnectionSettingsError when there is no way to an API server, ApiError when it does not know our pod.
    """
    logging.basicConfig(stream=sys.stderr, level="INFO", format="%(asctime)s %(levelname)-7s %(message)s")
    asyncio.run(_run(options))
    return 0


async def _run(options: WebhookOptions) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(open_connection(options.cluster))
        cluster = WebhookCluster(connection, options.namespace, options.name, time.monotonic)
        image = options.image or await cluster.own_image(options.pod)
        keeper = Keeper(cluster, _names(options), Lifetimes(), time.time)
        keeping = asyncio.create_task(keeper.keep())
        stack.push_async_callback(_ended, keeping)
        application = webhook_application(cluster, image, lambda: keeper.ready and not stopped.is_set())
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        # Until there is a certificate every handshake fails, and the pod is not ready.
        await web.TCPSite(runner, options.host, options.port, ssl_context=keeper.context).start()
        _log.info("serving reviews on %s:%d as %s; image %s", options.host, options.port, _names(options)[0], image)
        await stopped.wait()
        await asyncio.sleep(_NOTICE_SECONDS)


def _names(options: WebhookOptions) -> tuple[str, ...]:
    """What the API server calls us, first; the others are for people who try."""
    name = f"{options.name}.{options.namespace}"
    return (f"{name}.svc", name, f"{name}.svc.cluster.local")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
