"""Shared slots: carries out what `queue_proxy.sharing` decides, for activators that are connected.

Each activator has one connection to the admin port of each replica. As long as there is one activator its connection is
silent, and `shared` is False, which is all that a request costs.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable
from typing import Generic, TypeVar

from queue_proxy.limiter import Limiter
from queue_proxy.messages import MessageError
from queue_proxy.sharing import Admit, Announce, Effect, Grant, Recall, Sharing
from queue_proxy.slot_messages import (
    Activators,
    Bid,
    FromQueueProxy,
    Granted,
    LineSplitter,
    Recalled,
    Return,
    parse_from_activator,
)
from queue_proxy.tickets import Ticket, TicketState

log = logging.getLogger(__name__)

Arrival = TypeVar("Arrival", bound=Ticket)

MOST_ACTIVATORS = 64
_SOONEST_SECONDS = 0.001
# Connections are led away from a replica that has failed by kube-proxy, when EndpointSlices say so; by then activators
# have closed theirs.
_LED_AWAY_SECONDS = 5.0
_SENT_AND_NOT_TAKEN_BYTES = 65_536


class SharedSlots(Generic[Arrival]):
    """The slots of one replica as activators share them. `shared`: whether there is more than one."""

    def __init__(
        self, limiter: Limiter[Arrival], clock: Callable[[], float], admitted: Callable[[Arrival, float], None]
    ) -> None:
        """`admitted` is called with each of the own line that runs now."""
        self.shared = False
        self._limiter = limiter
        self._clock = clock
        self._admitted = admitted
        self._sharing: Sharing[Arrival, ActivatorConnection] = Sharing(limiter, _Tokens().make)
        self._connections: dict[ActivatorConnection, None] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._expires_at = 0.0
        self._shared_until = -math.inf

    def came_directly(self, token: bytes | None, now: float) -> bool:
        """Whether a request is known not to come from an activator: those that share say in each whose slot it takes.
        They do not share any more what cannot serve, while clients may still be led here for a moment."""
        return token is None and (self.shared or now < self._shared_until + _LED_AWAY_SECONDS)

    @property
    def full(self) -> bool:
        """Whether no more activators can connect."""
        return len(self._connections) >= MOST_ACTIVATORS

    @property
    def activators(self) -> int:
        """How many are connected."""
        return len(self._connections)

    @property
    def tokens(self) -> int:
        """Slots that are granted and not used yet."""
        return self._sharing.tokens

    @property
    def shunned(self) -> int:
        """Activators that let a slot expire, and get none for a while."""
        return self._sharing.shunned

    # What the dispatcher calls; the first two only while `shared`

    def arrive(
        self, ticket: Arrival, token: bytes | None, now: float
    ) -> tuple[TicketState, ActivatorConnection | None]:
        """A request: it runs by its token, or is taken as any other. Returns who had the token, for `ended`."""
        owner = None if token is None else self._sharing.redeem(token, ticket, now)
        state = self._limiter.arrive(ticket, now) if owner is None else ticket.state
        self._carry_out(self._sharing.settle(now))
        return state, owner

    def ended(self, owner: object, now: float) -> None:
        """A slot is free again."""
        self._carry_out(self._sharing.ended(owner if isinstance(owner, ActivatorConnection) else None, now))

    def settle(self) -> None:
        """There may be room where there was none."""
        if self.shared:
            self._carry_out(self._sharing.settle(self._clock()))

    def drain(self) -> None:
        """Grant nothing any more."""
        self._sharing.close()

    def close(self) -> None:
        """End every connection."""
        self.drain()
        if self._expiry is not None:
            self._expiry.cancel()
        for connection in tuple(self._connections):
            connection.close()

    # What connections call

    def opened(self, connection: ActivatorConnection) -> None:
        """An activator is connected."""
        self._connections[connection] = None
        self.shared = len(self._connections) > 1
        self._carry_out(self._sharing.join(connection))

    def closed(self, connection: ActivatorConnection) -> None:
        """It is gone."""
        del self._connections[connection]
        if self.shared:
            self._shared_until = self._clock()
        self.shared = len(self._connections) > 1
        self._carry_out(self._sharing.leave(connection, self._clock()))

    def heard(self, connection: ActivatorConnection, message: Bid | Return) -> None:
        """It says something."""
        now = self._clock()
        if isinstance(message, Bid):
            self._carry_out(self._sharing.bid(connection, message.waiting, message.band, message.age, now))
        else:
            self._carry_out(self._sharing.give_back(connection, message.token, now))

    def _carry_out(self, effects: list[Effect[Arrival, ActivatorConnection]]) -> None:
        for effect in effects:
            match effect:
                case Admit(ticket):
                    self._admitted(ticket, self._clock())
                case Grant(peer, token):
                    peer.send(Granted(token))
                case Recall(peer, token):
                    peer.send(Recalled(token))
                case Announce(peer, activators):
                    peer.send(Activators(activators))
        due = self._sharing.next_expiry()
        if due is not None and (self._expiry is None or due < self._expires_at):
            if self._expiry is not None:
                self._expiry.cancel()
            self._expires_at = due
            delay = max(_SOONEST_SECONDS, due - self._clock())
            self._expiry = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        self._carry_out(self._sharing.expire(self._clock()))


class ActivatorConnection(asyncio.Protocol):
    """One activator."""

    transport: asyncio.Transport

    def __init__(self, slots: SharedSlots[Arrival]) -> None:
        self._opened: Callable[[ActivatorConnection], None] = slots.opened
        self._closed: Callable[[ActivatorConnection], None] = slots.closed
        self._heard: Callable[[ActivatorConnection, Bid | Return], None] = slots.heard
        self._lines = LineSplitter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is ours from here."""
        self.transport = transport  # type: ignore[assignment]
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: something was said. Who does not keep to the language is cut off."""
        try:
            for line in self._lines.feed(data):
                self._heard(self, parse_from_activator(line))
        except MessageError as error:
            log.warning("an activator's connection is closed, it sent what cannot be read: %s", error)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone."""
        self._closed(self)

    def send(self, message: FromQueueProxy) -> None:
        """Tell it. One that does not listen is cut off, so that what it is told does not fill the memory."""
        if self.transport.is_closing():
            return
        self.transport.write(message.to_line())
        if self.transport.get_write_buffer_size() > _SENT_AND_NOT_TAKEN_BYTES:
            self.transport.abort()

    def close(self) -> None:
        """End it."""
        self.transport.abort()


class _Tokens:
    """Tokens that never repeat; who comes directly would have to guess 64 bits to have another's slot."""

    def __init__(self) -> None:
        self._number = 0

    def make(self) -> bytes:
        self._number += 1
        return b"%x" % self._number + os.urandom(8).hex().encode()
