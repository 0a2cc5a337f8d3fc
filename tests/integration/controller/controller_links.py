"""What activators connect to, and the API: on real sockets, in this process, with all they are told and asked kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from activator.messages import StatsPush
from autoscaler.controller.readings.activator_connections import ActivatorConnections


class Told:
    """An ActivatorListener that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.pushes: list[StatsPush] = []
        self.refused: list[str] = []
        self.on_push: Callable[[], None] = lambda: None

    def activator_connected(self, activator: str) -> None:
        self.events.append(f"+{activator}")

    def activator_pushed(self, activator: str, push: StatsPush) -> None:
        self.pushes.append(push)
        self.on_push()

    def activator_disconnected(self, activator: str, *, left: bool) -> None:
        self.events.append(f"-{activator}" if not left else f"bye {activator}")

    def activator_message_refused(self, activator: str, why: str) -> None:
        self.refused.append(why)


@asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    """The application on a port of its own; gives its URL."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving_activators(**settings: float) -> AsyncIterator[tuple[ActivatorConnections, Told, str]]:
    """`settings` of the ActivatorConnections, where they are not the usual ones."""
    told = Told()
    connections = ActivatorConnections(told, **settings)
    async with served(connections.application()) as url:
        try:
            yield connections, told, url
        finally:
            await connections.close()
