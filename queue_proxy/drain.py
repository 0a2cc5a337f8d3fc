"""Drain: how a replica ends without losing a request, although nobody ends it in order.

Kubelet tells all containers of a pod at once to end: the model by its preStop hook, which asks us `GET /drained`, and
us by SIGTERM; either may come first. So both begin the same drain, and the model is let go when it is over. Meanwhile
new connections are taken until whoever leads clients here has had time to learn of it (`queue_proxy.notice`). Who is
still in line when its time is over is told to come again.

The hook also runs when kubelet restarts the model alone, because its liveness probe fails. Then no SIGTERM comes, and a
proxy that drained for good would leave a pod that runs and serves nobody. So without SIGTERM the door stays open: the
model is let go when it has nothing to do, or cannot do it, and afterwards the proxy serves as before.

Kubelet comes from an address that is nobody's we know, so anybody in the cluster could ask as it does, again and again,
and keep this replica from being ready. But only kubelet ends a model afterwards. When that does not happen, no
hook is believed for an hour for which no SIGTERM comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from queue_proxy.dispatcher import QueueDispatcher
from queue_proxy.http import HttpServer
from queue_proxy.notice import Notice, idle_patience, until_nobody_comes

log = logging.getLogger(__name__)

ORDER_SECONDS = 5.0
"""Without SIGTERM for so long after the hook, the model ends alone: kubelet runs both at once."""

_LOOK_SECONDS = 0.02
# A model that was let go stops to listen soon; until that is seen, nobody should be told that it is ready.
_ENDING_SECONDS = 10.0
_DISBELIEF_SECONDS = 3_600.0
_LAST_WORDS_SECONDS = 1.0
_LAST_WORDS_SHARE = 0.2


class DrainTimes(NamedTuple):
    """`seconds`: what the whole drain may take; `notice`: how long new connections are taken."""

    seconds: float
    notice: Notice


class Drain:
    """One replica's way out. `run` for SIGTERM, `let_model_go` for the hook; both may be called at any time.

    `announce` is called when the drain begins, `close_door` when no new connection is to be taken any more.
    """

    def __init__(
        self,
        times: DrainTimes,
        dispatcher: QueueDispatcher,
        server: HttpServer,
        clock: Callable[[], float],
        announce: Callable[[], None],
        close_door: Callable[[], Awaitable[None]],
    ) -> None:
        self._times = times
        self._dispatcher = dispatcher
        self._server = server
        self._clock = clock
        self._announce = announce
        self._close_door = close_door
        self._ends_at = 0.0
        self._disbelieves_until = 0.0
        self._ordered = asyncio.Event()
        self._over = asyncio.Event()
        self._letting_go: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """End for good: returns when no connection is left, or the time is over."""
        self._ordered.set()
        self._begin()
        ordered_at = self._clock()
        self._ends_at = ordered_at + self._times.seconds
        self._dispatcher.slots.drain()
        await until_nobody_comes(self._times.notice.within(self._left()), self._connections, self._clock)
        await self._close_door()
        # Of little time half is left for closing in good order: who is cut at the end may have sent meanwhile.
        self._server.begin_drain(min(idle_patience(self._clock() - ordered_at), self._left() / 2))
        # Who is in line then would be cut with the rest, and could not know that it may safely be sent again.
        last_words = min(_LAST_WORDS_SECONDS, _LAST_WORDS_SHARE * self._left())
        sending_away = asyncio.get_running_loop().call_later(self._left() - last_words, self._dispatcher.send_away)
        await self._server.wait_closed(self._left())
        sending_away.cancel()
        self._over.set()

    async def let_model_go(self) -> None:
        """Begin the drain; returns when the model may end. Being cancelled takes nothing back."""
        if self._letting_go is None:
            self._letting_go = asyncio.create_task(self._let_go())
        await asyncio.shield(self._letting_go)

    async def cancel(self) -> None:
        """The process ends now."""
        if self._letting_go is not None:
            self._letting_go.cancel()
            await asyncio.gather(self._letting_go, return_exceptions=True)

    def _begin(self) -> None:
        if self._dispatcher.draining:
            return
        self._ends_at = self._clock() + self._times.seconds
        self._dispatcher.draining = True
        self._server.begin_drain(self._times.seconds)
        self._announce()

    async def _let_go(self) -> None:
        believed = self._clock() >= self._disbelieves_until
        if believed:
            self._begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(ORDER_SECONDS, self._left()) if believed else ORDER_SECONDS):
                await self._ordered.wait()
        if not believed and not self._ordered.is_set():
            self._letting_go = None
            return
        await self._while(self._model_works, self._left())
        if self._ordered.is_set():
            await self._over.wait()
        else:
            self._letting_go = asyncio.create_task(self._resume())

    async def _resume(self) -> None:
        """The model alone ends, and kubelet starts it again."""
        # Its successor may be there before the next look: so one is told, and does not only look.
        readiness = self._dispatcher.readiness
        ended = asyncio.Event()

        def changed(ready: bool) -> None:
            if not ready:
                ended.set()

        def is_there() -> bool:
            readiness.doubt()
            return readiness.ready and not ended.is_set()

        readiness.subscribe(changed)
        try:
            await self._while(is_there, _ENDING_SECONDS)
        finally:
            readiness.unsubscribe(changed)
        if is_there() and not self._ordered.is_set():
            self._disbelieves_until = self._clock() + _DISBELIEF_SECONDS
            log.warning("/drained was asked and the model has not ended: for an hour it is believed with SIGTERM only")
        self._letting_go = None
        if not self._ordered.is_set():
            self._dispatcher.draining = False
            self._server.end_drain()

    async def _while(self, lasts: Callable[[], bool], seconds: float) -> None:
        """As long as that lasts and no SIGTERM comes, up to so many seconds."""
        until = self._clock() + seconds
        while lasts() and self._clock() < until:
            if self._ordered.is_set():
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _model_works(self) -> bool:
        return self._dispatcher.measurement.running > 0 and self._dispatcher.readiness.ready

    def _connections(self) -> int:
        return self._server.connections_total

    def _left(self) -> float:
        return max(0.0, self._ends_at - self._clock())
