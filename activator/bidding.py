"""Bidding: one service's side of slots that several activators share. `queue_proxy.sharing` says why there are such.

Every replica is told how many wait here and how long the next of them has, since any may be the first with a free
slot. What has changed is told once for all that happened in a turn of the loop, and not more often than a wait could
be noticed: with a hundred replicas each release would otherwise be a hundred messages.

The rules that keep every slot busy are two. Who waits has no token: a grant releases the next request at once. And who
keeps a token has said that nobody waits: a grant that finds nobody is answered by saying so, to who sent it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from activator.endpoint_load import EndpointLoad, Standing
from activator.endpoints import Endpoints
from activator.lines import Band
from activator.timers import Timers
from queue_proxy.slot_messages import Activators, Bid, FromActivator, FromQueueProxy, Granted, Recalled, Return

_SECONDS_PER_ENDPOINT = 0.0001
_LONGEST_PAUSE_SECONDS = 0.004

_NOBODY = (0, 1, 0)
# What we said there before may have arrived after its queue proxy forgot us, so whatever holds now is said anew.
_UNKNOWN = (-1, 1, 0)


class Link(Protocol):
    """A connection to one queue proxy."""

    def send(self, message: FromActivator) -> None:
        """Tell it, if it is connected."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class InLine(Protocol):
    """A waiting request."""

    @property
    def number(self) -> int:
        """Its place in the order of arrival."""
        ...

    @property
    def band(self) -> Band:
        """Its priority."""
        ...

    @property
    def arrived_at(self) -> float:
        """When it came."""
        ...


class Waiting(Protocol):
    """Those who wait: the hold."""

    def __len__(self) -> int:
        """How many."""
        ...

    def next(self) -> InLine | None:
        """Who goes when there is room."""
        ...


Said = Callable[[EndpointLoad, FromQueueProxy], None]
Lost = Callable[[EndpointLoad], None]
Dial = Callable[[EndpointLoad, Said, Lost], Link]


def dial_nobody(load: EndpointLoad, said: Said, lost: Lost) -> Link:
    """For an activator that is the only one by construction."""
    return _NoLink()


class _NoLink:
    def send(self, message: FromActivator) -> None:
        """Nobody listens."""

    def close(self) -> None:
        """Nothing is open."""


class Bidding:
    """Bids and tokens of one service. `pump` releases whom there is room for."""

    def __init__(
        self,
        endpoints: Endpoints,
        hold: Waiting,
        timers: Timers,
        clock: Callable[[], float],
        dial: Dial,
        pump: Callable[[], None],
    ) -> None:
        self._endpoints = endpoints
        self._hold = hold
        self._timers = timers
        self._clock = clock
        self._dial = dial
        self._pump = pump
        self._links: dict[EndpointLoad, Link] = {}
        # The shared ones, and what each was told last: how many wait, the band and the number of the next.
        self._told: dict[EndpointLoad, tuple[int, int, int]] = {}
        self._telling: asyncio.Handle | None = None
        self._told_at = 0.0

    @property
    def shared(self) -> int:
        """How many endpoints other activators use, too."""
        return len(self._told)

    def follow(self, loads: Iterable[EndpointLoad], capacity: int) -> None:
        """Have a connection to each of these that can be given requests, now or later. Without a limit there is nothing
        to share."""
        usable = (load for load in loads if load.standing is not Standing.DRAINING and capacity > 0)
        wanted = dict.fromkeys(usable)
        for load in [load for load in self._links if load not in wanted]:
            self._links.pop(load).close()
            self._alone(load)
        for load in wanted:
            if load not in self._links:
                self._links[load] = self._dial(load, self._said, self._lost)

    def close(self) -> None:
        """End every connection."""
        self.follow((), 0)
        if self._telling is not None:
            self._telling.cancel()

    def changed(self) -> None:
        """Who waits, or whom that concerns, has changed: tell it soon. Costs nothing while nobody shares."""
        if not self._told or self._telling is not None:
            return
        pause = min(_LONGEST_PAUSE_SECONDS, _SECONDS_PER_ENDPOINT * len(self._told))
        rest = self._told_at + pause - self._clock()
        if rest > 0:
            self._telling = self._timers.call_later(rest, self._tell_all)
        else:
            self._telling = self._timers.call_soon(self._tell_all)

    def return_unwanted(self) -> None:
        """Endpoints may have stopped being ready: what they granted goes back."""
        if self._told:
            for load, token in self._endpoints.unwanted():
                self.give_back(load, token)

    def give_back(self, load: EndpointLoad, token: bytes) -> None:
        """A token was not used, or it is not certain that it was. The bid goes first, so that one which no longer holds
        does not bring the same token at once again."""
        link = self._links.get(load)
        if link is not None and load in self._told:
            self._tell(load, link)
            link.send(Return(token))

    def _said(self, load: EndpointLoad, message: FromQueueProxy) -> None:
        match message:
            case Activators(number):
                self._share(load, number > 1)
            case Granted(token):
                self._granted(load, token)
            case Recalled(token):
                if self._endpoints.recalled(load, token):
                    self.give_back(load, token)

    def _granted(self, load: EndpointLoad, token: bytes) -> None:
        if not self._endpoints.granted(load, token):
            self.give_back(load, token)
            return
        self._pump()
        if not len(self._hold) and self._told.get(load, _NOBODY) != _NOBODY:
            self._tell(load, self._links[load])

    def _lost(self, load: EndpointLoad) -> None:
        self._alone(load)
        self._pump()

    def _share(self, load: EndpointLoad, shared: bool) -> None:
        if not shared:
            self._alone(load)
            self._pump()
            return
        self._endpoints.share(load, True)
        self._told.setdefault(load, _UNKNOWN)
        self.changed()

    def _alone(self, load: EndpointLoad) -> None:
        self._endpoints.share(load, False)
        self._told.pop(load, None)

    def _tell_all(self) -> None:
        self._telling = None
        self._told_at = self._clock()
        for load in self._told:
            self._tell(load, self._links[load])

    def _tell(self, load: EndpointLoad, link: Link) -> None:
        """Bid at one endpoint, if the bid is another than the last one there."""
        ticket = self._hold.next()
        if ticket is None or load.standing is not Standing.READY:
            bid = _NOBODY
            age = 0.0
        else:
            bid = (len(self._hold), int(ticket.band), ticket.number)
            age = max(0.0, self._clock() - ticket.arrived_at)
        if self._told[load] != bid:
            self._told[load] = bid
            link.send(Bid(bid[0], bid[1], age))
