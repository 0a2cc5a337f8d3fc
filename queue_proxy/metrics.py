"""The proxy's metrics: one table of what there is, and where each number comes from.

Numbers live where they arise, as plain integers and lists, and are read when somebody scrapes: a request pays for
none of this. `metrics_page` makes Prometheus' page from the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from queue_proxy.dispatcher import QueueDispatcher
from queue_proxy.histogram import Histogram
from queue_proxy.http import HttpServer
from queue_proxy.observability import Observability

if TYPE_CHECKING:
    from queue_proxy.observability.batches import Batches
    from queue_proxy.observability.record import RequestRecord

PREFIX: Final = "pilotlight_queue_proxy_"


class Kind(Enum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers live."""

    dispatcher: QueueDispatcher
    server: HttpServer
    observability: Observability


Values = list[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table: a name without prefix and `_total`, and how to read it.

    `read` gives a number for each set of label values. A histogram has `histogram` instead.
    """

    name: str
    kind: Kind
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    read: Callable[[Sources], Values] = lambda sources: []
    histogram: Callable[[Sources], Histogram] | None = None


def _one(value: float) -> Values:
    return [((), value)]


def _outcomes(sources: Sources) -> Values:
    measured = sources.dispatcher.measurement
    names = ("completed", "failed", "refused", "abandoned")
    return [((name,), getattr(measured, name)) for name in names]


def _refusals(sources: Sources) -> Values:
    return [((why.value,), count) for why, count in sources.dispatcher.refusals.counted.items()]


def _areas(sources: Sources) -> Values:
    reading = sources.dispatcher.stats()
    return [(("running",), reading.busy_seconds), (("waiting",), reading.waiting_seconds)]


def _wake(sources: Sources) -> Values:
    measured = sources.dispatcher.measurement
    return [] if measured.ready_at is None else _one(measured.ready_at - measured.started_at)


def _fates(batches: Batches[RequestRecord] | None) -> Values:
    return [] if batches is None else [(("written",), batches.written), (("dropped",), batches.dropped)]


METRICS: Final = (
    Metric(
        "requests",
        Kind.COUNTER,
        "Requests by how they ended; probes and scrapes of the model are not counted.",
        labels=("outcome",),
        read=_outcomes,
    ),
    Metric("arrived", Kind.COUNTER, "Requests that came in.", read=lambda s: _one(s.dispatcher.measurement.arrived)),
    Metric("refused", Kind.COUNTER, "Requests refused, by reason.", labels=("reason",), read=_refusals),
    Metric("running", Kind.GAUGE, "Requests in the model now.", read=lambda s: _one(s.dispatcher.measurement.running)),
    Metric("waiting", Kind.GAUGE, "Requests in line now.", read=lambda s: _one(s.dispatcher.measurement.waiting)),
    Metric("limit", Kind.GAUGE, "Requests that may run at once; 0: no limit.", read=lambda s: _one(s.dispatcher.limit)),
    Metric(
        "request_time",
        Kind.COUNTER,
        "Request-seconds spent: its rate is the average number of requests running or waiting.",
        unit="seconds",
        labels=("state",),
        read=_areas,
    ),
    Metric(
        "queue_wait",
        Kind.HISTOGRAM,
        "From arrival to being forwarded.",
        unit="seconds",
        histogram=lambda s: s.dispatcher.durations.queue,
    ),
    Metric(
        "first_byte",
        Kind.HISTOGRAM,
        "From arrival to the head of the model's answer, with what was waited.",
        unit="seconds",
        histogram=lambda s: s.dispatcher.durations.first_byte,
    ),
    Metric(
        "service_duration",
        Kind.HISTOGRAM,
        "From being forwarded to the last byte of the answer, of completed requests.",
        unit="seconds",
        histogram=lambda s: s.dispatcher.durations.service,
    ),
    Metric(
        "slot_activators",
        Kind.GAUGE,
        "Activators connected to bid.",
        read=lambda s: _one(s.dispatcher.slots.activators),
    ),
    Metric(
        "slots_granted",
        Kind.GAUGE,
        "Slots granted to activators and not used yet.",
        read=lambda s: _one(s.dispatcher.slots.tokens),
    ),
    Metric(
        "slot_activators_shunned",
        Kind.GAUGE,
        "Activators that let a slot expire, and get none for a while.",
        read=lambda s: _one(s.dispatcher.slots.shunned),
    ),
    Metric("malformed", Kind.COUNTER, "Requests answered with 400.", read=lambda s: _one(s.server.malformed_total)),
    Metric("oversize", Kind.COUNTER, "Requests answered with 431.", read=lambda s: _one(s.server.oversize_total)),
    Metric("slow_heads", Kind.COUNTER, "Heads answered with 408.", read=lambda s: _one(s.server.slow_heads_total)),
    Metric("slow_bodies", Kind.COUNTER, "Bodies answered with 408.", read=lambda s: _one(s.server.slow_bodies_total)),
    Metric(
        "connections_refused",
        Kind.COUNTER,
        "Connections beyond --connections.",
        read=lambda s: _one(s.server.connections_refused_total),
    ),
    Metric("connections", Kind.GAUGE, "Open client connections.", read=lambda s: _one(s.server.connections)),
    Metric(
        "ready", Kind.GAUGE, "1 while the model is ready.", read=lambda s: _one(float(s.dispatcher.readiness.ready))
    ),
    Metric(
        "request_log_lines",
        Kind.COUNTER,
        "Lines of the request log by what became of them; absent without a log.",
        labels=("fate",),
        read=lambda s: _fates(s.observability.log),
    ),
    Metric(
        "traced_requests",
        Kind.COUNTER,
        "Requests with spans by what became of those; absent without tracing.",
        labels=("fate",),
        read=lambda s: _fates(s.observability.spans),
    ),
    Metric(
        "wake",
        Kind.GAUGE,
        "From the start of this process to the model's first readiness; absent before.",
        unit="seconds",
        read=_wake,
    ),
)
