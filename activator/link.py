"""The link to the controller: numbers go up, tables come down, and requests do not depend on it.

The activator dials, and dials again. While nobody answers it serves from the last table that it has, and held requests
still go out to endpoints that become ready. What happened meanwhile is in the first push of the next connection, second
by second, so that a controller that has just started knows the last minutes at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import aiohttp

from activator.messages import Routes, StatsPush
from activator.push_writer import PushWriter
from activator.table_reader import TableReader
from queue_proxy.lost_machine import OF_THE_CONTROL_LINK, end_when_lost
from queue_proxy.messages import MessageError, Stats
from queue_proxy.token_file import TokenError, TokenFile

log = logging.getLogger(__name__)

PUSH_EVERY_SECONDS = 1.0
COALESCE_SECONDS = 0.02
_REDIAL_AT_FIRST = 0.05
# A connection that lasted so long was one, and what comes after it is no repetition.
_SERVED_SECONDS = 2.0
# Another controller leads within seconds of the death of one, and knows nothing of whom we hold before we connect.
_REDIAL_AT_MOST = 0.5
# With the look-up of its name, which is made anew each time: another controller may lead by now.
_DIAL_SECONDS = 5.0
_CONNECT_SECONDS = 1.0
# Whether the controller's machine is there is for the kernel to say: what we send (a push each second) must be
# acknowledged in time. A machine that is, with a process that says nothing, has half as long again as this, because it
# may only be busy; who comes back has to tell it minutes of history.
_HEARTBEAT_SECONDS = 3.0
# A ping behind a push, whose answer says that the controller has read so far. Nothing more is sent to one that has not:
# what lay there unread would delay the answers by which it is known to live, and be old when it is read.
_READ = b"read"
# One that does not answer a goodbye is not waited for.
_TIMEOUTS = aiohttp.ClientWSTimeout(ws_close=0.5)
_LARGEST_TABLE_BYTES = 64 * 1024 * 1024
# Ten minutes of one service are some tens of kilobytes.
_SERVICES_IN_ONE_PUSH_OF_HISTORY = 32


class Services(Protocol):
    """Whose numbers go up, and who follows the tables."""

    def names(self) -> Sequence[str]:
        """Every service that this activator knows."""
        ...

    def stats(self, service: str) -> Stats | None:
        """Its numbers; None when it is gone."""
        ...

    def stats_with_history(self, service: str) -> Stats | None:
        """Its numbers, and its last minutes; None when it is gone."""
        ...

    def wakes(self, service: str) -> bool:
        """Whether somebody waits there and no endpoint is ready."""
        ...

    def apply(self, routes: Routes) -> None:
        """Follow a table."""
        ...


@dataclass(frozen=True, slots=True)
class ControlTarget:
    """Where the controller is: `unix_path` of its socket, or None and `url` says it all. `token`: who we are."""

    url: str
    unix_path: str | None = None
    token: TokenFile | None = None


class Link:
    """One connection at a time. `run` lives as long as the activator; `urgent` may be called at any time."""

    def __init__(self, name: str, target: ControlTarget, services: Services, clock: Callable[[], float]) -> None:
        self._url = f"{target.url}/activators/{quote(name, safe='')}"
        self._unix_path = target.unix_path
        self._token = target.token
        self._complaint = ""
        self._services = services
        self._clock = clock
        self._urgent: dict[str, None] = {}
        self._pushed_at: dict[str, float] = {}
        self._something_urgent = asyncio.Event()
        self._reader = TableReader()
        self._table: tuple[str, int] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._writer = PushWriter()
        self._accepts_still = False
        self._unread = 0
        self._all_read = asyncio.Event()
        self.connected = False
        self.connections = 0
        self.refused_tables = 0
        self.pushes = 0

    def urgent(self, service: str) -> None:
        """Tell the controller of this service now: somebody waits for it and no endpoint is there."""
        self._urgent[service] = None
        self._something_urgent.set()

    @property
    def has_table(self) -> bool:
        """Whether a controller has ever told us what there is to serve."""
        return self._table is not None

    async def leave(self) -> None:
        """Tell the controller the last numbers, and that no more will follow: this activator holds nobody any more.

        Without it, whether somebody is still held here would be unknown for a while, and nothing could go to sleep.
        """
        if self._socket is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await self._push(self._socket, self._everything())
                await self._socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    async def run(self) -> None:
        """Dial, serve the connection until it ends, dial again. Ends only by cancellation."""
        pause = _REDIAL_AT_FIRST
        while True:
            began = self._clock()
            try:
                await self._connect()
            except (aiohttp.ClientError, OSError, TokenError) as error:
                self._complain(error)
            if self._clock() - began > _SERVED_SECONDS:
                pause = _REDIAL_AT_FIRST
            # Half of it by chance, so that activators do not dial a restarted controller in step.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(_REDIAL_AT_MOST, 2 * pause)

    def _complain(self, error: Exception) -> None:
        """What is refused will be refused again until somebody does something: that is said aloud, once. That nobody
        is there passes by itself."""
        refused = isinstance(error, TokenError | aiohttp.WSServerHandshakeError)
        why = f"{error.status} {error.message}" if isinstance(error, aiohttp.WSServerHandshakeError) else str(error)
        log.log(
            logging.WARNING if refused and why != self._complaint else logging.DEBUG,
            "no connection to the controller: %s",
            why,
        )
        self._complaint = why

    async def _connect(self) -> None:
        headers = {} if self._token is None else {"Authorization": self._token.authorization()}
        connector = aiohttp.UnixConnector(self._unix_path) if self._unix_path else aiohttp.TCPConnector()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            async with asyncio.timeout(_DIAL_SECONDS):
                connection = await session.ws_connect(
                    self._url,
                    heartbeat=_HEARTBEAT_SECONDS,
                    max_msg_size=_LARGEST_TABLE_BYTES,
                    compress=0,
                    timeout=_TIMEOUTS,
                    autoping=False,
                )
            async with connection:
                end_when_lost(connection.get_extra_info("socket"), OF_THE_CONTROL_LINK)
                await self._serve(connection)

    async def _serve(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        log.info("connected to the controller")
        self._complaint = ""
        self.connections += 1
        self.connected = True
        self._socket = connection
        self._writer = PushWriter()
        self._accepts_still = False  # until this controller says so
        self._unread = 0
        sending = asyncio.create_task(self._send(connection))
        receiving = asyncio.create_task(self._receive(connection))
        try:
            await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.connected = False
            self._socket = None
            log.info("the connection to the controller has ended; serving from the last table")
            for task in (sending, receiving):
                task.cancel()
            for ended in await asyncio.gather(sending, receiving, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, aiohttp.ClientError | OSError):
                    log.error("the link broke by a fault of ours", exc_info=ended)

    async def _send(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        await self._push_history(connection)
        next_push = self._clock() + PUSH_EVERY_SECONDS
        while True:
            now = self._clock()
            if now >= next_push:
                next_push = now + PUSH_EVERY_SECONDS
                if not self._unread:
                    await self._push(connection, self._everything())
                    await self._ask_whether_read(connection)
            due, wait = self._urgent_now(now)
            if due:
                told = _those_there(due, self._services.stats)
                await self._push(connection, self._writer.part(told, urgent=True))
            else:
                await self._sleep(min(wait, next_push - now))

    def _urgent_now(self, now: float) -> tuple[list[str], float]:
        """Services whose urgency may be told now, and the seconds until the next one may.

        The first is told at once; what follows within the coalescing time is told together at its end.
        """
        due = [name for name in self._urgent if now - self._pushed_at.get(name, -1.0) >= COALESCE_SECONDS]
        for name in due:
            del self._urgent[name]
            self._pushed_at[name] = now
        if not self._urgent:
            self._something_urgent.clear()
            return due, PUSH_EVERY_SECONDS
        return due, min(self._pushed_at[name] + COALESCE_SECONDS - now for name in self._urgent)

    async def _sleep(self, seconds: float) -> None:
        """Until the time is over or, when nothing urgent is known yet, until something is."""
        if self._urgent:
            await asyncio.sleep(max(0.0, seconds))
            return
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._something_urgent.wait()
        except TimeoutError:
            pass

    async def _push_history(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        names = self._services.names()
        for first in range(0, len(names), _SERVICES_IN_ONE_PUSH_OF_HISTORY):
            part = names[first : first + _SERVICES_IN_ONE_PUSH_OF_HISTORY]
            urgent = any(self._services.wakes(name) for name in part)
            told = _those_there(part, self._services.stats_with_history)
            await self._push(connection, self._writer.part(told, urgent=urgent))
            await self._ask_whether_read(connection)
            await self._all_read.wait()

    async def _ask_whether_read(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._unread += 1
        self._all_read.clear()
        await connection.ping(_READ)

    def _everything(self) -> StatsPush:
        services = _those_there(self._services.names(), self._services.stats)
        return self._writer.whole(services, self._clock(), accepts_still=self._accepts_still)

    async def _push(self, connection: aiohttp.ClientWebSocketResponse, push: StatsPush) -> None:
        self.pushes += 1
        await connection.send_str(json.dumps(push.to_json(), separators=(",", ":")))

    async def _receive(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        async for message in connection:
            if message.type is aiohttp.WSMsgType.ERROR:
                return
            if message.type is aiohttp.WSMsgType.PING:
                await connection.pong(message.data)
                continue
            if message.type is aiohttp.WSMsgType.PONG:
                self._answered(message.data)
                continue
            try:
                self._follow(message.data)
            except MessageError as error:
                self.refused_tables += 1
                log.warning("the controller sent a table that cannot be read, the last one stays: %s", error)

    def _answered(self, payload: bytes) -> None:
        if payload == _READ and self._unread:
            self._unread -= 1
            if not self._unread:
                self._all_read.set()

    def _follow(self, text: object) -> None:
        routes = self._reader.read(text)
        self._accepts_still = routes.accepts_still
        if self._table is not None and self._table[0] == routes.epoch and routes.version < self._table[1]:
            log.info("table %d of %s is older than the one in use and is ignored", routes.version, routes.epoch)
            return
        self._table = (routes.epoch, routes.version)
        self._services.apply(routes)


def _those_there(names: Sequence[str], read: Callable[[str], Stats | None]) -> Mapping[str, Stats]:
    return {name: stats for name in names if (stats := read(name)) is not None}
