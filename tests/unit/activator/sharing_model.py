"""Several activators and queue proxies, all real but the wires: messages lie there until a test delivers them.

What decides is the code that runs in production: `Endpoints`, `Hold` and `Bidding` of each activator, `Limiter` and
`Sharing` of each queue proxy, and the messages as lines between them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import cast

from activator.bidding import Bidding, Lost, Said
from activator.endpoint_load import EndpointLoad
from activator.endpoints import Endpoints
from activator.hold import Hold
from activator.lines import Band
from activator.messages import Endpoint, EndpointState, HoldBounds
from activator.tickets import Held, Released
from activator.tickets import Ticket as HoldTicket
from queue_proxy.limiter import Limiter, QueueBounds
from queue_proxy.sharing import Admit, Announce, Effect, Grant, Recall, Sharing
from queue_proxy.slot_messages import (
    Activators,
    Bid,
    FromActivator,
    FromQueueProxy,
    Granted,
    Recalled,
    parse_from_activator,
    parse_from_queue_proxy,
)
from queue_proxy.tickets import Ticket, TicketState

BOUNDS = HoldBounds(requests=10**6, bytes=10**9, no_endpoint_seconds=1e6, full_seconds=1e6)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class _NoLoop:
    """All that a handle asks of its loop."""

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass


_NO_LOOP = cast(asyncio.AbstractEventLoop, _NoLoop())


class ManualTimers:
    """Callbacks that run when the test says so."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.due: list[asyncio.TimerHandle] = []

    def call_later(self, delay: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.clock.now + delay, callback, (), _NO_LOOP)
        self.due.append(handle)
        return handle

    def call_soon(self, callback: Callable[[], object], /) -> asyncio.Handle:
        return self.call_later(0.0, callback)

    def run(self) -> bool:
        due, self.due = self.due, []
        for handle in due:
            if not handle.cancelled():
                handle._run()
        return bool(due)


@dataclass
class Request:
    """One request; `served_by` once it runs."""

    number: int
    band: Band
    came_at: float
    activator: ModelActivator | None
    served_by: int | None = None
    done: bool = False
    ticket: HoldTicket[Request] | None = None
    load: EndpointLoad | None = None


class Running(Ticket):
    """A request at a queue proxy."""

    __slots__ = ("owner", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.owner: ModelActivator | None = None


class ModelQueueProxy:
    """Its limiter and its sharing; `running` is what the model has."""

    def __init__(self, world: SharingModel, number: int, limit: int) -> None:
        self.world = world
        self.number = number
        self.limit = limit
        self.limiter: Limiter[Running] = Limiter(limit, QueueBounds())
        numbers = count(1)
        self.sharing: Sharing[Running, ModelActivator] = Sharing(self.limiter, lambda: b"%x" % next(numbers))
        self.running: list[Running] = []

    def arrive(self, request: Request, token: bytes | None) -> None:
        ticket, now = Running(request), self.world.clock.now
        if token is not None:
            ticket.owner = self.sharing.redeem(token, ticket, now)
        if ticket.owner is not None or self.limiter.arrive(ticket, now) is TicketState.RUNNING:
            self._run(ticket)
        self.carry_out(self.sharing.settle(now))

    def finish(self, ticket: Running) -> None:
        self.running.remove(ticket)
        ticket.request.done = True
        self.limiter.retire(ticket)
        self.carry_out(self.sharing.ended(ticket.owner, self.world.clock.now))
        if ticket.request.activator is not None:
            ticket.request.activator.ended(ticket.request)

    def carry_out(self, effects: list[Effect[Running, ModelActivator]]) -> None:
        for effect in effects:
            match effect:
                case Admit(ticket):
                    self._run(ticket)
                case Grant(peer, token):
                    self._send(peer, Granted(token))
                case Recall(peer, token):
                    self._send(peer, Recalled(token))
                case Announce(peer, number):
                    self._send(peer, Activators(number))

    def _run(self, ticket: Running) -> None:
        ticket.request.served_by = self.number
        self.running.append(ticket)

    def _send(self, peer: ModelActivator, message: FromQueueProxy) -> None:
        if peer.alive:
            peer.wires[self.number].down.append(message.to_line())


@dataclass
class Wire:
    """One connection: lines on their way up to the activator's queue proxy and down from it."""

    model: ModelActivator
    load: EndpointLoad
    said: Said
    proxy: ModelQueueProxy
    up: deque[bytes] = field(default_factory=deque)
    down: deque[bytes] = field(default_factory=deque)

    def send(self, message: FromActivator) -> None:
        self.up.append(message.to_line())

    def close(self) -> None:
        pass


class ModelActivator:
    """One activator; `under_way` are requests that have left it and are not at their queue proxy yet."""

    def __init__(self, world: SharingModel, number: int, limit: int) -> None:
        self.world = world
        self.number = number
        self.alive = True
        self.stuck = False
        self.endpoints = Endpoints()
        self.hold: Hold[Request, EndpointLoad] = Hold(self.endpoints, BOUNDS, world.clock.now)
        self.wires: dict[int, Wire] = {}
        self.under_way: list[tuple[ModelQueueProxy, Request, bytes | None]] = []
        self.timers = ManualTimers(world.clock)
        self.bidding = Bidding(self.endpoints, self.hold, self.timers, world.clock, self._dial, self._pump)
        table = [Endpoint(f"chat-{proxy.number}", "h", proxy.number, 0, EndpointState.READY) for proxy in world.proxies]
        self.endpoints.update(table, limit)
        self.hold.observe(world.clock.now)
        self.bidding.follow(self.endpoints.all(), limit)

    def request(self, request: Request) -> None:
        effect = self.hold.arrive(self.world.clock.now, request, 0, request.band)
        request.ticket = effect.ticket
        match effect:
            case Released(place=load):
                self._forward(request, load)
            case Held():
                self.bidding.changed()

    def leave(self, request: Request) -> None:
        assert request.ticket is not None
        self.hold.leave(request.ticket)
        self.bidding.changed()

    def lose(self, index: int) -> Request:
        """A request that has left ends before its queue proxy has it: its client went away."""
        _, request, token = self.under_way.pop(index)
        assert request.load is not None
        request.done = True
        self.endpoints.release(request.load, reached=False)
        if token is not None:
            self.bidding.give_back(request.load, token)
        self._pump()
        return request

    def ended(self, request: Request) -> None:
        if self.alive:
            assert request.load is not None
            self.endpoints.release(request.load, reached=True)
            self._pump()

    def die(self) -> None:
        self.alive = False
        for proxy in self.world.proxies:
            proxy.carry_out(proxy.sharing.leave(self, self.world.clock.now))

    def _pump(self) -> None:
        while released := self.hold.release(self.world.clock.now):
            self._forward(released.ticket.waiter, released.place)
            self.bidding.changed()

    def _forward(self, request: Request, load: EndpointLoad) -> None:
        request.load = load
        token = self.endpoints.token(load) if load.shared else None
        self.under_way.append((self.world.proxies[load.endpoint.port], request, token))

    def _dial(self, load: EndpointLoad, said: Said, lost: Lost) -> Wire:
        wire = self.wires[load.endpoint.port] = Wire(self, load, said, self.world.proxies[load.endpoint.port])
        return wire


class SharingModel:
    """All of them."""

    def __init__(self, activators: int, proxies: int, limit: int) -> None:
        self.clock = Clock()
        self.limit = limit
        self.requests: list[Request] = []
        self.proxies = [ModelQueueProxy(self, number, limit) for number in range(proxies)]
        self.activators: list[ModelActivator] = []
        for _ in range(activators):
            self.join()

    @property
    def living(self) -> list[ModelActivator]:
        return [activator for activator in self.activators if activator.alive and not activator.stuck]

    def join(self) -> None:
        activator = ModelActivator(self, len(self.activators), self.limit)
        self.activators.append(activator)
        for proxy in self.proxies:
            proxy.carry_out(proxy.sharing.join(activator))

    def new(self, band: Band, activator: ModelActivator | None) -> Request:
        self.clock.now += 1e-3
        request = Request(len(self.requests), band, self.clock.now, activator)
        self.requests.append(request)
        return request

    def deliver_up(self, wire: Wire) -> None:
        message = parse_from_activator(wire.up.popleft().removesuffix(b"\n"))
        sharing, now = wire.proxy.sharing, self.clock.now
        if isinstance(message, Bid):
            wire.proxy.carry_out(sharing.bid(wire.model, message.waiting, message.band, message.age, now))
        else:
            wire.proxy.carry_out(sharing.give_back(wire.model, message.token, now))

    def deliver_down(self, wire: Wire) -> None:
        wire.said(wire.load, parse_from_queue_proxy(wire.down.popleft().removesuffix(b"\n")))

    def deliver_request(self, activator: ModelActivator, index: int) -> None:
        proxy, request, token = activator.under_way.pop(index)
        proxy.arrive(request, token)

    def settle(self) -> int:
        """Deliver everything until nothing is under way; returns how many deliveries that took."""
        deliveries = 0
        busy = True
        while busy:
            busy = False
            for activator in self.living:
                busy |= activator.timers.run()
                while activator.under_way:
                    self.deliver_request(activator, 0)
                    busy = True
                for wire in activator.wires.values():
                    while wire.up:
                        self.deliver_up(wire)
                        deliveries += 1
                        busy = True
                    while wire.down:
                        self.deliver_down(wire)
                        deliveries += 1
                        busy = True
            assert deliveries < 10_000, "messages beget messages"
        return deliveries

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        for proxy in self.proxies:
            due = proxy.sharing.next_expiry()
            if due is not None and due <= self.clock.now:
                proxy.carry_out(proxy.sharing.expire(self.clock.now))

    def is_shunned(self, activator: ModelActivator) -> bool:
        return not all(proxy.sharing.trusts(activator) for proxy in self.proxies)

    def waiting(self) -> list[Request]:
        """Requests that wait at an activator that works, or in a queue proxy's own line."""
        held = [r for r in self.requests if not r.done and r.served_by is None]
        return [r for r in held if r.activator is None or r.activator in self.living]
