"""Where activators connect: their Stats come up, the Routes go down, on one WebSocket each.

An activator dials us, and dials again when we are away; we believe nothing it sends that does not read as a
StatsPush. One bad message is logged, counted and forgiven, since losing the connection would cost the service its
wake signal; an activator that sends nothing but bad messages is closed.

What goes down is always the newest table. A slow activator is not sent the tables it missed, and holds up no other.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from activator.messages import ACTIVATOR_NAME, Route, Routes, StatsPush, parse_stats_push
from autoscaler.controller.readings.push_reader import PushReader
from queue_proxy.lost_machine import OF_THE_CONTROL_LINK, end_when_lost
from queue_proxy.messages import MessageError

_log = logging.getLogger(__name__)

# Ten minutes of history by the second for some hundred services fit; a runaway sender does not.
_LARGEST_PUSH_BYTES = 16 * 1024 * 1024
_BAD_MESSAGES_IN_A_ROW = 5
_SERVICES_AT_ONCE = 100
# An activator speaks every second. One that does not for so long is asked, and has half as long again to answer.
_HEARTBEAT_SECONDS = 2.0


class ActivatorListener(Protocol):
    """Who is told."""

    def activator_connected(self, activator: str) -> None:
        """A connection is there; nothing has been pushed on it."""

    def activator_pushed(self, activator: str, push: StatsPush) -> None:
        """A push that reads well came in."""

    def activator_disconnected(self, activator: str, *, left: bool) -> None:
        """Its last connection is gone. `left`: it said goodbye, and holds nobody any more."""

    def activator_message_refused(self, activator: str, why: str) -> None:
        """It sent something that is not a push."""


@dataclass(eq=False, slots=True)
class _Connection:
    socket: web.WebSocketResponse
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    sent_version: int = -1


class RoutesText:
    """Writes tables as messages. Of thousands of routes one has changed, and only that is written anew: whoever waits
    for a wake would otherwise wait for all the others to be written, at each of its steps."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._texts: dict[str, tuple[Route, str]] = {}

    def prepare(self, route: Route) -> None:
        """Write this route now: of a table with thousands of new ones each is written when it is made."""
        self._texts[route.service] = (route, _json(route.to_json()))

    def of(self, routes: Routes) -> str:
        """The message that says this table."""
        texts = {}
        for route in routes.routes:
            known = self._texts.get(route.service)
            texts[route.service] = known if known is not None and known[0] is route else (route, _json(route.to_json()))
        self._texts = texts
        frame = _json(replace(routes, routes=()).to_json())
        listed = ",".join(text for _, text in texts.values())
        return frame.replace('"routes":[]', f'"routes":[{listed}]', 1)


class ActivatorConnections:
    """The WebSocket side of the control socket; `application()` is served by whoever owns the socket."""

    def __init__(self, listener: ActivatorListener, heartbeat: float = _HEARTBEAT_SECONDS) -> None:
        """`heartbeat`: the seconds after which a silent activator is asked whether it is there."""
        self._listener = listener
        self._heartbeat = heartbeat
        self._connections: dict[str, _Connection] = {}
        self._table: tuple[int, str] | None = None
        self._text = RoutesText()

    @property
    def connected(self) -> tuple[str, ...]:
        """Names of the activators connected now."""
        return tuple(sorted(self._connections))

    def application(self) -> web.Application:
        """The aiohttp application that serves `/activators/{name}`."""
        application = web.Application()
        application.router.add_get("/activators/{name}", self.serve)
        return application

    def prepare(self, route: Route) -> None:
        """This route will be in the next table."""
        self._text.prepare(route)

    def publish(self, routes: Routes) -> None:
        """Send this table to every activator that is connected, and to each that connects from now on."""
        self._table = (routes.version, self._text.of(routes))
        for connection in self._connections.values():
            connection.changed.set()

    async def close(self) -> None:
        """Close every connection with a code that says: dial again."""
        closing = [c.socket.close(code=WSCloseCode.SERVICE_RESTART) for c in self._connections.values()]
        await asyncio.gather(*closing, return_exceptions=True)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One activator's connection, from its beginning to its end. Raises what aiohttp answers with."""
        name = request.match_info["name"]
        if ACTIVATOR_NAME.fullmatch(name) is None:
            raise web.HTTPBadRequest(text="an activator's name is 1 to 127 letters, digits, dots, dashes\n")
        if "Origin" in request.headers:
            # Only browsers send it. A page that somebody has open must not be able to push load from his machine.
            raise web.HTTPForbidden(text="browsers have no business here\n")
        socket = web.WebSocketResponse(heartbeat=self._heartbeat, max_msg_size=_LARGEST_PUSH_BYTES, compress=False)
        try:
            await socket.prepare(request)
        except ConnectionResetError:
            return web.Response()  # it left before it was let in, and nobody reads this
        end_when_lost(socket.get_extra_info("socket"), OF_THE_CONTROL_LINK)
        connection = _Connection(socket)
        # The newest connection of a name is the real one: the other is what a broken network has left behind.
        replaced = self._connections.get(name)
        self._connections[name] = connection
        if replaced is None:
            self._listener.activator_connected(name)
        else:
            _log.info("activator %s connected again; its older connection is closed", name)
            replaced.changed.set()
        sender = asyncio.create_task(self._send_tables(name, connection))
        try:
            await self._receive(name, socket)
        finally:
            sender.cancel()
            if self._connections.get(name) is connection:
                del self._connections[name]
                self._listener.activator_disconnected(name, left=socket.close_code == WSCloseCode.GOING_AWAY)
        return socket

    async def _receive(self, name: str, socket: web.WebSocketResponse) -> None:
        refused_in_a_row = 0
        reader = PushReader()
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
            try:
                push = reader.read(_read_push(message.data))
            except MessageError as error:
                refused_in_a_row += 1
                reader.forget()
                self._listener.activator_message_refused(name, str(error))
                if refused_in_a_row >= _BAD_MESSAGES_IN_A_ROW:
                    await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"nothing readable came")
                    break
            else:
                refused_in_a_row = 0
                for part in _parts(push):
                    self._listener.activator_pushed(name, part)
                    # What has arrived already is read without a pause, and of a new controller's first seconds that is
                    # the history of all services.
                    await asyncio.sleep(0)

    async def _send_tables(self, name: str, connection: _Connection) -> None:
        """Keep this activator on the newest table until its connection ends or is replaced."""
        try:
            while self._connections.get(name) is connection:
                connection.changed.clear()
                if self._table is not None and self._table[0] != connection.sent_version:
                    version, text = self._table
                    await connection.socket.send_str(text)
                    connection.sent_version = version
                else:
                    await connection.changed.wait()
            await connection.socket.close(code=WSCloseCode.GOING_AWAY, message=b"connected again elsewhere")
        except ConnectionError:
            pass  # the receiving side sees the end too, and tells


def _json(body: object) -> str:
    return json.dumps(body, separators=(",", ":"))


def _parts(push: StatsPush) -> Iterator[StatsPush]:
    """The same push, a number of services at a time."""
    if len(push.services) <= _SERVICES_AT_ONCE:
        yield push
        return
    services = iter(push.services.items())
    while few := dict(islice(services, _SERVICES_AT_ONCE)):
        yield StatsPush(push.urgent, few)


def _read_push(data: object) -> StatsPush:
    if not isinstance(data, str):
        raise MessageError("a push is a text message")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"a push is JSON: {error}") from error
    return parse_stats_push(body)
