"""Routes: what the controller tells an activator; and what an activator tells the controller.

One WebSocket connection carries both, as JSON texts. The activator dials and re-dials the controller:

    controller → activator   {"kind": "routes", "version": 7, "routes": [...]}      the whole table, every time
    activator → controller   {"kind": "stats", "urgent": false, "services": {"default/chat": Stats, ...}}

The activator pushes Stats every second, and at once with `urgent` when a request arrives for a service that
has no endpoint: that push is what wakes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum

from queue_proxy.measurement import HISTORY_SECONDS
from queue_proxy.messages import MessageError, Stats, parse_stats

HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ACTIVATOR_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,125}[A-Za-z0-9])?")


class EndpointState(Enum):
    """What the controller knows of an endpoint.

    STARTING endpoints are listed as soon as they have an address, so that the activator can ask their queue
    proxy for readiness itself and need not wait for the controller, or Kubernetes, to notice.
    """

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica as the activator sees it: `host:port` takes requests, `host:admin_port` answers `/ready`."""

    name: str
    host: str
    port: int
    admin_port: int
    state: EndpointState


@dataclass(frozen=True, slots=True)
class HoldBounds:
    """How much may wait, and how long.

    Two clocks, because two things can be wrong: `no_endpoint_seconds` bounds the wait while no replica is
    ready (then 503), `full_seconds` the wait while replicas are ready and busy (then 429); 0 seconds: no bound.
    `bytes` counts request bodies, and long heads, each by the most memory that it may take while it waits.
    """

    requests: int
    bytes: int
    no_endpoint_seconds: float
    full_seconds: float


@dataclass(frozen=True, slots=True)
class Precedence:
    """By what the order of those who wait is made, beyond their age.

    priority_header  whether `pilotlight-priority: high|normal|low` counts; off, because strangers could jump the queue
    tenant_header    the header, in lower case, that names a request's tenant; tenants take turns. "": no tenants
    """

    priority_header: bool = False
    tenant_header: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; 0 switches one off. `total` counts from forwarding (the hold has clocks of its own),
    `response_start` from there to the first byte of the answer, `idle` between two bytes in either direction."""

    total: float
    response_start: float
    idle: float


@dataclass(frozen=True, slots=True)
class Route:
    """How to serve one service.

    service           `namespace/name`
    port              where clients connect; the activator listens there (0: listening sockets were handed over)
    endpoint_capacity how many requests one endpoint takes at a time, running and queued there; 0: no limit
    expected_wake_seconds  what a wake has taken here, None while none was measured
    in_path           new connections are led here. False: the replicas take them themselves, so clients that are still
                      connected here are moved over; whoever comes all the same is served
    history_seconds   how much of the past a controller that begins can use of this service
    """

    service: str
    port: int
    endpoints: tuple[Endpoint, ...]
    endpoint_capacity: int
    hold: HoldBounds
    timeouts: Timeouts
    expected_wake_seconds: float | None
    precedence: Precedence = Precedence()
    in_path: bool = True
    history_seconds: int = HISTORY_SECONDS

    def to_json(self) -> dict[str, object]:
        """The object `parse_route` reads back."""
        return asdict(self, dict_factory=_plain)


@dataclass(frozen=True, slots=True)
class Routes:
    """The whole table. A later version replaces an earlier one; `epoch` names the controller that counts.

    accepts_still  the controller understands `StatsPush.still_at`; one of an older version does not
    """

    epoch: str
    version: int
    routes: tuple[Route, ...]
    accepts_still: bool = False

    def to_json(self) -> dict[str, object]:
        """The message `parse_routes` reads back."""
        return {
            "kind": "routes",
            "epoch": self.epoch,
            "version": self.version,
            "routes": [route.to_json() for route in self.routes],
            "accepts_still": self.accepts_still,
        }


@dataclass(frozen=True, slots=True)
class StatsPush:
    """What an activator knows of services it routes. `urgent`: somebody waits and no endpoint is there.

    An urgent push tells of some services only. So does each part of the first push on a connection, which brings
    history and is sent in parts.

    still_at   set: of every service that this connection has told of and that is neither in `services` nor in `gone`,
               the numbers are what they were, as of this time (the source's clock). Of thousands few have any news
    gone       services that the activator does not know any more
    """

    urgent: bool
    services: Mapping[str, Stats]
    still_at: float | None = None
    gone: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The message `parse_stats_push` reads back."""
        services = {name: stats.to_json() for name, stats in self.services.items()}
        body: dict[str, object] = {"kind": "stats", "urgent": self.urgent, "services": services}
        if self.still_at is not None:
            body |= {"still_at": self.still_at, "gone": list(self.gone)}
        return body


def parse_stats_push(body: object) -> StatsPush:
    """Read a StatsPush from decoded JSON. Raises MessageError."""
    fields = _object(body, "a stats push")
    services = _object(fields.get("services"), "services")
    return StatsPush(
        urgent=fields.get("urgent") is True,
        services={str(name): parse_stats(stats) for name, stats in services.items()},
        still_at=None if fields.get("still_at") is None else _seconds(fields, "still_at"),
        gone=tuple(str(name) for name in _list(fields, "gone")) if "gone" in fields else (),
    )


def parse_route(body: object) -> Route:
    """Read one Route from decoded JSON. Raises MessageError."""
    return _route(_object(body, "a route"))


def parse_routes(body: object, parse_one: Callable[[object], Route] = parse_route) -> Routes:
    """Read a Routes from decoded JSON, each of its routes by `parse_one`.

    Raises MessageError, naming the field, when something is missing, of the wrong type, negative, NaN or infinite,
    not a port, or listed twice.
    """
    fields = _object(body, "a routes table")
    routes = tuple(map(parse_one, _list(fields, "routes")))
    names = [route.service for route in routes]
    if len(set(names)) != len(names):
        raise MessageError("routes must list a service once, and at least one is listed twice")
    accepts_still = _flag(fields, "accepts_still", default=False)
    return Routes(_text(fields, "epoch"), _count(fields, "version"), routes, accepts_still)


def _route(fields: Mapping[str, object]) -> Route:
    wake = fields.get("expected_wake_seconds")
    return Route(
        service=_text(fields, "service"),
        port=_port(fields, "port"),
        endpoints=tuple(_endpoint(_object(endpoint, "an endpoint")) for endpoint in _list(fields, "endpoints")),
        endpoint_capacity=_count(fields, "endpoint_capacity"),
        hold=_hold(_object(fields.get("hold"), "hold")),
        timeouts=_timeouts(_object(fields.get("timeouts"), "timeouts")),
        expected_wake_seconds=None if wake is None else _seconds(fields, "expected_wake_seconds"),
        # A controller of an older version does not send it.
        precedence=_precedence(_object(fields.get("precedence", {}), "precedence")),
        in_path=_flag(fields, "in_path", default=True),
        history_seconds=_count(fields, "history_seconds") if "history_seconds" in fields else HISTORY_SECONDS,
    )


def _endpoint(fields: Mapping[str, object]) -> Endpoint:
    states = [state.value for state in EndpointState]
    if fields.get("state") not in states:
        raise MessageError(f"state must be one of {', '.join(states)}, not {fields.get('state')!r:.80}")
    return Endpoint(
        name=_text(fields, "name"),
        host=_text(fields, "host"),
        port=_port(fields, "port"),
        admin_port=_port(fields, "admin_port"),
        state=EndpointState(fields["state"]),
    )


def _hold(fields: Mapping[str, object]) -> HoldBounds:
    return HoldBounds(
        requests=_count(fields, "requests"),
        bytes=_count(fields, "bytes"),
        no_endpoint_seconds=_seconds(fields, "no_endpoint_seconds"),
        full_seconds=_seconds(fields, "full_seconds"),
    )


def _precedence(fields: Mapping[str, object]) -> Precedence:
    honoured = _flag(fields, "priority_header", default=False)
    header = fields.get("tenant_header", "")
    if header != "" and not (isinstance(header, str) and HEADER_NAME.fullmatch(header)):
        raise MessageError(f"tenant_header must be the name of a header in lower case, or empty, not {header!r:.80}")
    return Precedence(honoured, header)


def _timeouts(fields: Mapping[str, object]) -> Timeouts:
    return Timeouts(
        total=_seconds(fields, "total"),
        response_start=_seconds(fields, "response_start"),
        idle=_seconds(fields, "idle"),
    )


_LONGEST_TEXT = 512


def _object(body: object, what: str) -> Mapping[str, object]:
    if not isinstance(body, Mapping):
        raise MessageError(f"{what} must be an object, not {type(body).__name__}")
    return body


def _list(body: Mapping[str, object], name: str) -> Sequence[object]:
    value = body.get(name)
    if not isinstance(value, list):
        raise MessageError(f"{name} must be a list, not {type(value).__name__}")
    return value


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT or not value.isprintable():
        raise MessageError(f"{name} must be a printable text of 1 to {_LONGEST_TEXT} characters, not {value!r:.80}")
    return value


def _flag(body: Mapping[str, object], name: str, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise MessageError(f"{name} must be true or false, not {value!r:.80}")
    return value


def _count(body: Mapping[str, object], name: str) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise MessageError(f"{name} must be a whole number that is not negative, not {value!r:.80}")
    return value


def _port(body: Mapping[str, object], name: str) -> int:
    value = _count(body, name)
    if value > 65_535:
        raise MessageError(f"{name} must be a port, 0 to 65535, not {value}")
    return value


def _seconds(body: Mapping[str, object], name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise MessageError(f"{name} must be a finite number of seconds that is not negative, not {value!r:.80}")
    return float(value)


def _plain(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in pairs}
