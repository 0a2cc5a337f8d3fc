"""The admin port: what others may ask of a queue proxy.

    /healthz          the process lives
    /ready            200 when the model is ready now, else 503 and why
    /ready?wait=S     held until it is ready and answered at once; 503 after S seconds, or when draining
    /stats            Stats (`queue_proxy.messages`); with ?seconds=N also the last N whole seconds
    /metrics          Prometheus' text format
    /drained          begins the drain, and answers when it is over: the preStop hook of the model's container
    /slots            an upgrade: the connection on which an activator bids for slots (`queue_proxy.slot_messages`)

It is the proxy's own HTTP engine with a dispatcher that only answers, so there is no second server to maintain.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from queue_proxy import slot_messages
from queue_proxy.drain import Drain
from queue_proxy.http import Answer, Exchange, Upstream, error_answer
from queue_proxy.http.exchange import Http1Exchange
from queue_proxy.shared_slots import ActivatorConnection

if TYPE_CHECKING:
    from queue_proxy.dispatcher import QueueDispatcher
    from queue_proxy.engine_metrics import EngineReader

_LONGEST_WAIT = 3_600.0
_MOST_WAITERS = 1_000
_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
_JSON = ((b"content-type", b"application/json"),)
_PATHS = ("/healthz", "/ready", "/stats", "/metrics", "/drained", slot_messages.PATH)
_SLOTS = slot_messages.PROTOCOL.encode()
_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: " + _SLOTS + b"\r\n\r\n"


class QueryError(ValueError):
    """A parameter is not what it should be; the message names it, its value and what is allowed."""


class AdminDispatcher:
    """Implements `queue_proxy.http.Dispatcher` for the admin port."""

    def __init__(
        self,
        dispatcher: QueueDispatcher,
        engine: EngineReader | None,
        drain: Drain,
        metrics: Callable[[], Answer],
    ) -> None:
        """Answers from what `dispatcher`, `engine` and `metrics` know; begins `drain` when the model is to end."""
        self._dispatcher = dispatcher
        self._engine = engine
        self._drain = drain
        self._leaving: dict[Exchange, asyncio.Task[None]] = {}
        self.models_let_go = 0
        self._held: dict[Exchange, asyncio.TimerHandle] = {}
        self._answers: dict[str, Callable[[dict[str, str]], Answer]] = {
            "/healthz": lambda query: Answer(200, _TEXT, b"alive\n"),
            "/stats": self._stats,
            "/metrics": lambda query: metrics(),
        }
        dispatcher.readiness.subscribe(self._readiness_changed)

    @property
    def waiters(self) -> int:
        """How many hold a question for readiness."""
        return len(self._held)

    def arrive(self, exchange: Exchange) -> None:
        """Answer, or hold a question for readiness."""
        target, _, query = exchange.head.target.decode("latin-1").partition("?")
        if exchange.head.method not in (b"GET", b"HEAD"):
            exchange.answer(error_answer(405, "the admin port knows GET and HEAD"))
            return
        try:
            parameters = dict(parse_qsl(query, keep_blank_values=True))
            if target == "/ready":
                self._ready(exchange, parameters)
            elif target == "/drained":
                self._drained(exchange)
            elif target == slot_messages.PATH:
                self._slots(exchange)
            elif target in self._answers:
                exchange.answer(self._answers[target](parameters))
            else:
                exchange.answer(error_answer(404, f"there is no such page here; there are {', '.join(_PATHS)}"))
        except QueryError as error:
            exchange.answer(error_answer(400, str(error)))

    def abandoned(self, exchange: Exchange) -> None:
        """Somebody who waited has gone. A drain that was begun goes on."""
        waiting = self._held.pop(exchange, None) or self._leaving.pop(exchange, None)
        if waiting is not None:
            waiting.cancel()

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        """Nothing is forwarded from here."""
        raise AssertionError("the admin port forwards nothing")

    def drain(self) -> None:
        """Tell everybody who waits that this replica will not serve."""
        for exchange in tuple(self._held):
            self._settle(exchange)

    def _drained(self, exchange: Exchange) -> None:
        if exchange.head.method != b"GET" or len(self._leaving) >= _MOST_WAITERS:
            exchange.answer(error_answer(405, "the drain is begun by GET, and by few"))
            return
        letting_go = asyncio.create_task(self._drain.let_model_go())
        self._leaving[exchange] = letting_go
        letting_go.add_done_callback(functools.partial(self._let_go, exchange))

    def _let_go(self, exchange: Exchange, ended: asyncio.Task[None]) -> None:
        self._leaving.pop(exchange, None)
        if not ended.cancelled():
            self.models_let_go += 1
            exchange.answer(Answer(200, _TEXT, b"drained\n", close=True))

    def _slots(self, exchange: Exchange) -> None:
        upgrade = exchange.head.value(b"upgrade") if exchange.head.is_upgrade else None
        slots = self._dispatcher.slots
        if not isinstance(exchange, Http1Exchange) or upgrade != _SLOTS:
            exchange.answer(error_answer(426, f"this page is for an upgrade to {slot_messages.PROTOCOL}"))
        elif self._dispatcher.draining or slots.full:
            exchange.answer(error_answer(503, "this replica drains, or too many activators are connected"))
        else:
            exchange.hand_over(ActivatorConnection(slots), _UPGRADED)

    def _ready(self, exchange: Exchange, parameters: dict[str, str]) -> None:
        seconds = _number(parameters, "wait", _LONGEST_WAIT)
        dispatcher = self._dispatcher
        if dispatcher.readiness.ready or dispatcher.draining or seconds == 0 or len(self._held) >= _MOST_WAITERS:
            exchange.answer(self._readiness())
            return
        self._held[exchange] = asyncio.get_running_loop().call_later(seconds, self._settle, exchange)

    def _settle(self, exchange: Exchange) -> None:
        self._held.pop(exchange).cancel()
        exchange.answer(self._readiness())

    def _readiness(self) -> Answer:
        if self._dispatcher.draining:
            return error_answer(503, "this replica drains")
        if not self._dispatcher.readiness.ready:
            return error_answer(503, f"the model is not ready: {self._dispatcher.readiness.why_not}")
        return Answer(200, _TEXT, b"ready\n")

    def _readiness_changed(self, ready: bool) -> None:
        if ready:
            for exchange in tuple(self._held):
                self._settle(exchange)

    def _stats(self, parameters: dict[str, str]) -> Answer:
        engine = None if self._engine is None else self._engine.latest()
        stats = self._dispatcher.stats(int(_number(parameters, "seconds", _LONGEST_WAIT)), engine)
        return Answer(200, _JSON, json.dumps(stats.to_json(), separators=(",", ":")).encode())


def _number(parameters: dict[str, str], name: str, most: float) -> float:
    text = parameters.get(name, "0")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:  # also false for NaN
        raise QueryError(f"{name} must be a number within 0..{most:g}, not {text!r:.80}")
    return value
