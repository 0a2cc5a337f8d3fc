"""Who is next: strict bands of priority, turns for tenants inside a band, first come first served inside a tenant.

Pure, and every step costs O(1), amortised: ten thousand may wait, and the one who comes, leaves or goes must not pay
for the others. A service that knows neither priorities nor tenants has one line: plain first come, first served.

A band is strict: while somebody of a higher one waits nobody of a lower one goes. Inside a band tenants take turns, one
request each, however many of them wait; so a tenant that sends a thousand requests makes its own wait longer and
another's by one request at most. Turns are counted in requests, because what a request costs is known only afterwards.

Who names tenants could invent them, and each one invented would have a turn. So their number is bounded: those beyond
it share one line.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

Tenant = bytes

MOST_TENANTS = 1_024
"""Tenants of one band that have lines of their own; those that come beyond share one."""

SHARED = b"\0"
"""The line of the tenants beyond; no header can have this value."""


class Band(IntEnum):
    """Priorities, the first goes first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Standing(Protocol):
    """Somebody in line: `number` is its place in the order of arrival."""

    @property
    def number(self) -> int:
        """Unique, and later arrivals have greater ones."""
        ...


class Laned(Standing, Protocol):
    """Somebody in a lane: a priority and a tenant."""

    band: Band
    tenant: Tenant


Item = TypeVar("Item", bound=Standing)
Guest = TypeVar("Guest", bound=Laned)


class Line(Generic[Item]):
    """First come, first served, with a way back: who was taken out may be put back in its old order."""

    __slots__ = ("_back", "_heap", "_in_heap", "_queue")

    def __init__(self) -> None:
        self._queue: OrderedDict[int, Item] = OrderedDict()
        # Those who were put back, by age in the heap. Numbers of those who have gone again are dropped from it when
        # they reach its top.
        self._back: dict[int, Item] = {}
        self._heap: list[int] = []
        self._in_heap: set[int] = set()

    def __len__(self) -> int:
        return len(self._queue) + len(self._back)

    def append(self, item: Item) -> None:
        """Somebody new, behind all others."""
        self._queue[item.number] = item

    def put_back(self, item: Item) -> None:
        """Somebody who was here, in its old order."""
        self._back[item.number] = item
        if item.number not in self._in_heap:
            self._in_heap.add(item.number)
            heapq.heappush(self._heap, item.number)

    def remove(self, item: Item) -> None:
        """Take it out, wherever it stands. Raises KeyError when it is not here."""
        if self._queue.pop(item.number, None) is None:
            del self._back[item.number]

    def first(self) -> Item | None:
        """The oldest, None when nobody is here."""
        while self._heap and self._heap[0] not in self._back:
            self._in_heap.remove(heapq.heappop(self._heap))
        oldest = self._back[self._heap[0]] if self._heap else None
        for item in self._queue.values():
            return item if oldest is None or item.number < oldest.number else oldest
        return oldest

    def last(self) -> Item | None:
        """The newest, None when nobody is here. Somebody who was put back is never called the newest while there is
        anybody else: it was accepted, and let go, once."""
        for item in reversed(self._queue.values()):
            return item
        return self.first()


class _Lanes(Generic[Guest]):
    """One band: a line for each tenant that has somebody waiting, in the order of their turns."""

    __slots__ = ("_by_length", "_longest", "turns")

    def __init__(self) -> None:
        self.turns: OrderedDict[Tenant, Line[Guest]] = OrderedDict()
        self._by_length: dict[int, dict[Tenant, None]] = {}
        self._longest = 0

    def lane_of(self, tenant: Tenant) -> Tenant:
        """The line that a newcomer of `tenant` stands in."""
        return tenant if tenant in self.turns or len(self.turns) < MOST_TENANTS else SHARED

    def length(self, tenant: Tenant) -> int:
        """How many wait in that line."""
        line = self.turns.get(tenant)
        return 0 if line is None else len(line)

    def add(self, item: Guest, *, back: bool) -> None:
        """Somebody new, or back. Whoever is back has had a turn that led nowhere, so its tenant has the next."""
        line = self.turns.get(item.tenant)
        if line is None:
            line = self.turns[item.tenant] = Line()
        if back:
            line.put_back(item)
            self.turns.move_to_end(item.tenant, last=False)
        else:
            line.append(item)
        self._grown(item.tenant, len(line))

    def remove(self, item: Guest) -> None:
        """Somebody leaves, wherever it stands."""
        line = self.turns[item.tenant]
        line.remove(item)
        self._shrunk(item.tenant, len(line))
        if not len(line):
            del self.turns[item.tenant]

    def first(self) -> Guest | None:
        """Who has the turn."""
        for line in self.turns.values():
            return line.first()
        return None

    def turn_over(self, tenant: Tenant) -> None:
        """`tenant` has had its turn."""
        if tenant in self.turns:
            self.turns.move_to_end(tenant)

    def longest(self) -> tuple[Tenant, int]:
        """The tenant with most waiting (of equal ones, any) and how many."""
        return next(iter(self._by_length[self._longest])), self._longest

    def _grown(self, tenant: Tenant, length: int) -> None:
        self._leave_length(tenant, length - 1)
        self._by_length.setdefault(length, {})[tenant] = None
        self._longest = max(self._longest, length)

    def _shrunk(self, tenant: Tenant, length: int) -> None:
        self._leave_length(tenant, length + 1)
        if length:
            self._by_length.setdefault(length, {})[tenant] = None
        # Whoever left the longest line has left it one shorter, so one step is always enough.
        if self._longest not in self._by_length:
            self._longest = length

    def _leave_length(self, tenant: Tenant, length: int) -> None:
        tenants = self._by_length.get(length)
        if tenants is not None:
            tenants.pop(tenant, None)
            if not tenants:
                del self._by_length[length]


class Lines(Generic[Guest]):
    """Everybody who waits, by band and tenant. `len` is how many."""

    __slots__ = ("_bands", "_waiting")

    def __init__(self) -> None:
        self._bands: tuple[_Lanes[Guest], ...] = tuple(_Lanes() for _ in Band)
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def append(self, item: Guest) -> None:
        """Somebody new. Its `tenant` becomes that of the shared line when there are too many."""
        lanes = self._bands[item.band]
        item.tenant = lanes.lane_of(item.tenant)
        lanes.add(item, back=False)
        self._waiting += 1

    def put_back(self, item: Guest) -> None:
        """Somebody who went and reached nobody, in its old order and with its tenant's next turn."""
        lanes = self._bands[item.band]
        item.tenant = lanes.lane_of(item.tenant)
        lanes.add(item, back=True)
        self._waiting += 1

    def remove(self, item: Guest) -> None:
        """Somebody leaves without having had a turn."""
        self._bands[item.band].remove(item)
        self._waiting -= 1

    def first(self) -> Guest | None:
        """Who is next, None when nobody waits. Follow it with `taken` when it goes."""
        for band in self._bands:
            if band.turns:
                return band.first()
        return None

    def taken(self, item: Guest) -> None:
        """`item`, which was next, goes: its tenant's turn is over."""
        self.remove(item)
        self._bands[item.band].turn_over(item.tenant)

    def yields_to(self, band: Band, tenant: Tenant) -> Guest | None:
        """Who makes room for a newcomer of that band and tenant when no more may wait; None when nobody should.

        The newest of whoever takes most: of the longest line in the lowest band that has any. The newcomer must be of a
        higher band, or of the same and with a shorter line even after it has joined. So who fills the hold cannot shut
        out others, and equals never push each other out in turn.
        """
        for lowest in reversed(Band):
            lanes = self._bands[lowest]
            if not lanes.turns:
                continue
            longest, length = lanes.longest()
            if lowest > band or (lowest == band and lanes.length(lanes.lane_of(tenant)) + 1 < length):
                return lanes.turns[longest].last()
            return None
        return None
