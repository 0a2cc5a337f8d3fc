"""Which activator port belongs to which service.

The port is all that tells an activator whom a connection is for, so two services never have the same one, and a service
keeps its own through restarts of anything: the EndpointSlices record it, this book is only their sum. A new service
gets the port that its name hashes to, or the next that is free; so the same services get nearly the same ports again
even where every record was lost, and a port that became free is seldom given to somebody else soon.

Two records of one port should not exist, but slices can be copied, restored from a backup, or written by a controller
that had lost its lease a moment before. Then the older record stands, whatever order they are read in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


class PortsExhaustedError(Exception):
    """Every port of the range belongs to a service."""


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from `first` to `last`, both included. Below node ports (30000) and what the kernel gives to clients."""

    first: int = 10_000
    last: int = 29_999

    def __post_init__(self) -> None:
        if not 1_024 <= self.first <= self.last <= 65_535:
            raise ValueError(f"a range of ports lies within 1024 to 65535, not {self.first} to {self.last}")

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """Who has a port, and since when as the API server tells it (RFC 3339, so that texts sort by time)."""

    since: str
    service: str


# What was allotted and is not recorded yet gives way to every record.
_NOT_RECORDED = "~"


class PortBook:
    """All ports of one cluster."""

    def __init__(self, ports: PortRange) -> None:
        self._range = ports
        self._by_port: dict[int, Record] = {}
        self._by_service: dict[str, int] = {}

    @property
    def ports(self) -> Mapping[str, int]:
        """The port of each service that has one."""
        return self._by_service

    def record(self, service: str, port: int, since: str) -> str | None:
        """A slice says that `service` has `port`. Returns who thereby has none any more, if anybody.

        Records outside of the range are as good as none: they are from another configuration, or nonsense.
        """
        if port not in self._range:
            return service if service not in self._by_service else None
        ours, theirs = Record(since, service), self._by_port.get(port)
        if theirs is not None and theirs.service == service:
            self._by_port[port] = min(ours, theirs)  # one of two slices, for addresses of two families
            return None
        if theirs is not None and theirs < ours:
            return service if service not in self._by_service else None
        self.forget(service)
        self._by_port[port] = ours
        self._by_service[service] = port
        if theirs is None:
            return None
        del self._by_service[theirs.service]
        return theirs.service

    def allot(self, service: str) -> int:
        """The port of `service`; a free one if it has none. Raises PortsExhaustedError."""
        port = self._by_service.get(service)
        if port is not None:
            return port
        if len(self._by_port) >= len(self._range):
            first, last = self._range.first, self._range.last
            raise PortsExhaustedError(
                f"{service}: all {len(self._range)} activator ports, {first} to {last}, are taken"
            )
        at = int.from_bytes(hashlib.sha256(service.encode()).digest()[:8], "big") % len(self._range)
        while self._range.first + at in self._by_port:
            at = (at + 1) % len(self._range)
        port = self._range.first + at
        self._by_port[port] = Record(_NOT_RECORDED, service)
        self._by_service[service] = port
        return port

    def forget(self, service: str) -> None:
        """The service is gone."""
        port = self._by_service.pop(service, None)
        if port is not None:
            del self._by_port[port]
