"""Sharing: whose the next free slot is when several activators send requests to one replica.

Each activator sees only its own requests. If each counted for itself, two of them would fill a replica of limit one
twice, and the second request would wait there while the replica beside it is free. If the slots were dealt out in
fixed parts, a part would lie idle while somebody waits elsewhere. So nobody counts but the one who knows, the queue
proxy, and a slot is handed to those who wait, one at a time:

    bid      an activator says how many of its requests wait, and the priority and age of the next of them. It says
             the same to every replica, since any will do.
    grant    a free slot goes to whoever has waited longest in the highest band, be it an activator or a request that
             came here directly and stands in our own line. The grant is a token; the request that brings it has the
             slot.
    keep     an activator that finds nobody waiting any more keeps the token for its next request, which then goes
             without asking. When a request ends and nobody bids, its slot goes back to where it came from.
    recall   as soon as somebody waits and nothing is free, tokens that others keep are called back.

Why no request waits while a slot is free, whatever the number of activators: a free slot is either ours, then there is
no bid, since `settle` leaves none unmet while there is room; or kept by an activator, then that one has nobody waiting
(else it would have used the token), and if anybody else bids, the token is being called back; or it is on its way.
Each of these ways is one message to an activator and one back.

A token that is neither used nor kept nor returned in time, because its activator is stuck, is void, and so is that
activator's bid; one that is gone loses both at once. A request that comes with a void token is not lost: it is served
like any that came directly. So the limit is never passed, and no fault of an activator takes a slot for long.

Pure: no I/O and no clock; every call returns what has to be carried out. With one activator nothing of this happens: it
counts for itself, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from queue_proxy.limiter import Limiter
from queue_proxy.tickets import Ticket

Arrival = TypeVar("Arrival", bound=Ticket)
Peer = TypeVar("Peer")

LEASE_SECONDS = 0.25
"""How long a token may be under way. A message and its answer take less than a hundredth of it."""
LONGEST_SHUN_SECONDS = 8.0
"""Nothing is granted to an activator that let a token expire, for as long as the lease was, and each further time for
twice as long, up to this. It is stuck, or overloaded, or means no good; whichever, the slot was idle for a lease."""
DIRECT_BAND = 1
"""The band of requests that came directly: normal."""


@dataclass(frozen=True, slots=True)
class Admit(Generic[Arrival]):
    """The next of our own line runs now."""

    ticket: Arrival


@dataclass(frozen=True, slots=True)
class Grant(Generic[Peer]):
    """Send this token to that activator."""

    peer: Peer
    token: bytes


@dataclass(frozen=True, slots=True)
class Recall(Generic[Peer]):
    """Ask that activator to return this token, unless it has used it."""

    peer: Peer
    token: bytes


@dataclass(frozen=True, slots=True)
class Announce(Generic[Peer]):
    """Tell that activator how many there are. One is alone: its tokens are void, and it counts for itself."""

    peer: Peer
    activators: int


Effect = Admit[Arrival] | Grant[Peer] | Recall[Peer] | Announce[Peer]
"""What the caller has to carry out, in this order."""


class _Bidder:
    """What is known of one activator. `tokens`: those that are out, each with the time by which it must be used,
    returned or declared kept; None for a kept one. `since`: when the next of its requests began to wait."""

    __slots__ = ("band", "expirations", "recalled", "shunned_until", "since", "tokens", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.band = DIRECT_BAND
        self.since = 0.0
        self.tokens: dict[bytes, float | None] = {}
        self.recalled: set[bytes] = set()
        self.shunned_until: float | None = None
        self.expirations = 0

    @property
    def wants(self) -> int:
        """How many tokens more it can use."""
        return max(0, self.waiting - len(self.tokens)) if self.shunned_until is None else 0


class Sharing(Generic[Arrival, Peer]):
    """The bids and tokens of one replica. Slots are the limiter's: it counts a token that is out as a slot in use."""

    def __init__(self, limiter: Limiter[Arrival], make_token: Callable[[], bytes]) -> None:
        """`make_token` must not repeat itself, nor be guessed by those who come directly."""
        self._limiter = limiter
        self._make_token = make_token
        self._bidders: dict[Peer, _Bidder] = {}
        self._owners: dict[bytes, Peer] = {}
        self.closed = False

    @property
    def shared(self) -> bool:
        """Whether there is more than one activator, and so anything to decide."""
        return len(self._bidders) > 1

    @property
    def activators(self) -> int:
        """How many there are."""
        return len(self._bidders)

    @property
    def tokens(self) -> int:
        """How many are out."""
        return len(self._owners)

    def trusts(self, peer: Peer) -> bool:
        """Whether anything is granted to this activator now."""
        return self._bidders[peer].shunned_until is None

    @property
    def shunned(self) -> int:
        """How many are granted nothing now."""
        return sum(not self.trusts(peer) for peer in self._bidders)

    def join(self, peer: Peer) -> list[Effect[Arrival, Peer]]:
        """One more activator."""
        self._bidders[peer] = _Bidder()
        return self._announce()

    def leave(self, peer: Peer, now: float) -> list[Effect[Arrival, Peer]]:
        """An activator is gone, and with it its tokens and its bid."""
        self._void(self._bidders.pop(peer))
        if len(self._bidders) == 1:
            for bidder in self._bidders.values():
                self._void(bidder)
                bidder.waiting = 0
        return [*self._announce(), *self.settle(now)]

    def bid(self, peer: Peer, waiting: int, band: int, age: float, now: float) -> list[Effect[Arrival, Peer]]:
        """How many wait there, the band of the next of them and for how many seconds it has waited. With 0 waiting it
        keeps the tokens that it has."""
        bidder = self._bidders[peer]
        bidder.waiting, bidder.band, bidder.since = waiting, band, now - age
        for token, due in bidder.tokens.items():
            if waiting and due is None:
                bidder.tokens[token] = now + LEASE_SECONDS  # who waits uses what it has
            elif not waiting and token not in bidder.recalled:
                bidder.tokens[token] = None
        return self.settle(now)

    def give_back(self, peer: Peer, token: bytes, now: float) -> list[Effect[Arrival, Peer]]:
        """A token comes back unused. Nothing happens when it is void, or was used after all."""
        if self._owners.get(token) != peer:
            return []
        self._forget(token)
        self._limiter.unreserve()
        return self.settle(now)

    def redeem(self, token: bytes, ticket: Arrival, now: float) -> Peer | None:
        """A request brings a token: it runs at once, and the activator that had the token is returned. None when the
        token is void: then it is a request like any other."""
        peer = self._owners.get(token)
        if peer is not None:
            self._bidders[peer].expirations = 0
            self._forget(token)
            self._limiter.redeem(ticket, now)
        return peer

    def ended(self, peer: Peer | None, now: float) -> list[Effect[Arrival, Peer]]:
        """A slot is free again; `peer` is the activator whose request had it, None for one that came directly."""
        effects = self.settle(now)
        bidder = None if peer is None else self._bidders.get(peer)
        if peer is None or bidder is None or not self.shared or self.closed or not self._limiter.has_room:
            return effects
        if bidder.shunned_until is None:
            effects.append(self._grant(peer, bidder, None))
        return effects

    def settle(self, now: float) -> list[Effect[Arrival, Peer]]:
        """Hand out what is free to whoever has waited longest, and call back what is kept while others wait."""
        effects: list[Effect[Arrival, Peer]] = []
        limiter = self._limiter
        while limiter.has_room:
            best = self._best()
            head = limiter.head
            if head is not None and (best is None or (DIRECT_BAND, head.arrived_at) <= (best[1].band, best[1].since)):
                effects.append(Admit(limiter.admit()))
            elif best is not None:
                effects.append(self._grant(*best, now + LEASE_SECONDS))
            else:
                return effects
        if self._owners:
            effects += self._recalls(now)
        return effects

    def expire(self, now: float) -> list[Effect[Arrival, Peer]]:
        """Void what is overdue. Whoever let a token expire is not trusted with others for a while."""
        for bidder in self._bidders.values():
            if bidder.shunned_until is not None and bidder.shunned_until <= now:
                bidder.shunned_until = None
            if any(due is not None and due <= now for due in bidder.tokens.values()):
                self._void(bidder)
                bidder.waiting = 0
                bidder.shunned_until = now + min(LONGEST_SHUN_SECONDS, LEASE_SECONDS * 2**bidder.expirations)
                bidder.expirations = min(bidder.expirations + 1, 10)
        return self.settle(now)

    def next_expiry(self) -> float | None:
        """When `expire` will have something to do, None when nothing is under way and nobody shunned."""
        due = [due for bidder in self._bidders.values() for due in (*bidder.tokens.values(), bidder.shunned_until)]
        return min((at for at in due if at is not None), default=None)

    def close(self) -> None:
        """This replica drains: grant nothing any more, and forget what is out."""
        self.closed = True
        for bidder in self._bidders.values():
            self._void(bidder)

    def _best(self) -> tuple[Peer, _Bidder] | None:
        """Who has waited longest in the highest band, and can use a token."""
        if self.closed or not self.shared:
            return None
        wanting = [(peer, bidder) for peer, bidder in self._bidders.items() if bidder.wants]
        return min(wanting, key=lambda pair: (pair[1].band, pair[1].since), default=None)

    def _grant(self, peer: Peer, bidder: _Bidder, due: float | None) -> Grant[Peer]:
        token = self._make_token()
        self._limiter.reserve()
        self._owners[token] = peer
        bidder.tokens[token] = due
        return Grant(peer, token)

    def _recalls(self, now: float) -> list[Effect[Arrival, Peer]]:
        """As many kept tokens as others wait for, and not more than that."""
        unmet = self._limiter.waiting + sum(bidder.wants for bidder in self._bidders.values())
        unmet -= sum(len(bidder.recalled) for bidder in self._bidders.values())
        recalls: list[Effect[Arrival, Peer]] = []
        if unmet <= 0:
            return recalls
        for peer, bidder in self._bidders.items():
            kept = [token for token, due in bidder.tokens.items() if due is None]
            for token in kept[:unmet]:
                bidder.tokens[token] = now + LEASE_SECONDS
                bidder.recalled.add(token)
                recalls.append(Recall(peer, token))
            unmet -= len(kept[:unmet])
        return recalls

    def _forget(self, token: bytes) -> None:
        bidder = self._bidders[self._owners.pop(token)]
        del bidder.tokens[token]
        bidder.recalled.discard(token)

    def _void(self, bidder: _Bidder) -> None:
        for token in bidder.tokens:
            del self._owners[token]
            self._limiter.unreserve()
        bidder.tokens.clear()
        bidder.recalled.clear()

    def _announce(self) -> list[Effect[Arrival, Peer]]:
        return [Announce(peer, len(self._bidders)) for peer in self._bidders]
