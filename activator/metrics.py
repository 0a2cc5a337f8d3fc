"""The activator's metrics: one table of what there is, and where each number comes from.

Numbers live where they arise, as plain integers and histograms, and are read when somebody scrapes: a request pays
for none of this. What is asked of a service has its name as the first label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from activator.link import Link
from activator.services import Service, ServiceTable
from queue_proxy.histogram import Histogram
from queue_proxy.observability import Observability
from queue_proxy.observability.batches import Batches
from queue_proxy.observability.record import RequestRecord

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "pilotlight_activator_"

Values = list[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class ServiceCounter:
    """A number of one service that only grows, for each set of values of `labels`."""

    name: str
    help: str
    read: Callable[[Service], Values]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceGauge:
    """A number of one service as it is now."""

    name: str
    help: str
    read: Callable[[Service], Values]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceHistogram:
    """Durations of one service, in seconds."""

    name: str
    help: str
    read: Callable[[Service], Histogram]


@dataclass(frozen=True, slots=True)
class LinkCounter:
    """A number of the link to the controller that only grows."""

    name: str
    help: str
    read: Callable[[Link], float]


@dataclass(frozen=True, slots=True)
class LinkGauge:
    """A number of the link to the controller as it is now."""

    name: str
    help: str
    read: Callable[[Link], float]


@dataclass(frozen=True, slots=True)
class RecordCounter:
    """What became of the records that tell of single requests, one kind of them. Absent while that is off."""

    name: str
    help: str
    read: Callable[[Observability], Batches[RequestRecord] | None]


Metric = ServiceCounter | ServiceGauge | ServiceHistogram | LinkCounter | LinkGauge | RecordCounter


def _one(value: float) -> Values:
    return [((), value)]


def _outcomes(service: Service) -> Values:
    measured = service.dispatcher.measurement
    return [((name,), getattr(measured, name)) for name in ("completed", "failed", "refused", "abandoned")]


def _refusals(service: Service) -> Values:
    refused = service.dispatcher.recorder.refused
    return [((cause.value, regime.value), count) for (cause, regime), count in refused.items()]


def _forwarded(service: Service) -> Values:
    return [((standing.value,), count) for standing, count in service.dispatcher.recorder.forwarded.items()]


def _areas(service: Service) -> Values:
    reading = service.dispatcher.stats()
    return [(("running",), reading.busy_seconds), (("waiting",), reading.waiting_seconds)]


def _endpoints(service: Service) -> Values:
    standings = Counter(load.standing for load in service.dispatcher.endpoints.all())
    return [((standing.value,), count) for standing, count in standings.items()]


METRICS: Final[tuple[Metric, ...]] = (
    ServiceCounter(
        "requests", "Requests by how they ended; probes and scrapes are not counted.", _outcomes, ("outcome",)
    ),
    ServiceCounter("arrived", "Requests that came in.", lambda s: _one(s.dispatcher.measurement.arrived)),
    ServiceGauge("held", "Requests that wait now.", lambda s: _one(len(s.dispatcher.hold))),
    ServiceGauge(
        "held_bytes", "Bytes counted now for bodies of waiting requests.", lambda s: _one(s.dispatcher.hold.bytes)
    ),
    ServiceGauge(
        "in_flight", "Requests forwarded and not ended now.", lambda s: _one(s.dispatcher.measurement.running)
    ),
    ServiceCounter(
        "refused",
        "Requests refused, by cause and by what was lacking.",
        _refusals,
        ("cause", "waited_for"),
    ),
    ServiceCounter("forwarded", "Requests forwarded, by the endpoint's standing.", _forwarded, ("endpoint",)),
    ServiceCounter(
        "retries",
        "Requests forwarded again because not one byte of them had reached a replica.",
        lambda s: _one(s.dispatcher.recorder.retries),
    ),
    ServiceCounter(
        "request_time_seconds",
        "Request-seconds spent: its rate is the average number of requests running or waiting.",
        _areas,
        ("state",),
    ),
    ServiceCounter("probes", "Probes answered here.", lambda s: _one(s.dispatcher.recorder.probes)),
    ServiceCounter("looks", "Scrapes and other looks at the model.", lambda s: _one(s.dispatcher.recorder.looks)),
    ServiceGauge("endpoints", "Endpoints by standing.", _endpoints, ("standing",)),
    ServiceGauge("listening", "1 while clients can connect.", lambda s: _one(float(s.listener.listening))),
    ServiceGauge("connections", "Open client connections.", lambda s: _one(s.server.connections)),
    ServiceCounter(
        "connections_refused",
        "Connections beyond --connections.",
        lambda s: _one(s.server.connections_refused_total),
    ),
    ServiceCounter("malformed", "Requests answered with 400.", lambda s: _one(s.server.malformed_total)),
    ServiceCounter("oversize", "Requests answered with 431.", lambda s: _one(s.server.oversize_total)),
    ServiceCounter("slow_heads", "Heads answered with 408.", lambda s: _one(s.server.slow_heads_total)),
    ServiceCounter("slow_bodies", "Bodies answered with 408.", lambda s: _one(s.server.slow_bodies_total)),
    ServiceHistogram(
        "hold_wait_seconds",
        "How long released requests have waited in the hold.",
        lambda s: s.dispatcher.recorder.hold_wait,
    ),
    ServiceHistogram(
        "first_byte_seconds",
        "From arrival to the head of the model's answer, with what was waited.",
        lambda s: s.dispatcher.recorder.first_byte,
    ),
    ServiceHistogram(
        "request_duration_seconds",
        "From arrival to the last byte of the answer, with what was waited, of completed requests.",
        lambda s: s.dispatcher.recorder.duration,
    ),
    ServiceHistogram(
        "wake_overhead_seconds",
        "From learning that the first endpoint is ready to the first release.",
        lambda s: s.dispatcher.recorder.wake_overhead,
    ),
    LinkGauge("link_connected", "1 while the controller is connected.", lambda link: float(link.connected)),
    LinkCounter("link_connections", "Connections made to the controller.", lambda link: link.connections),
    LinkCounter("link_pushes", "Messages sent to the controller.", lambda link: link.pushes),
    LinkCounter(
        "link_tables_refused", "Tables of the controller that could not be read.", lambda link: link.refused_tables
    ),
    RecordCounter(
        "request_log_lines", "Lines of the request log by what became of them; absent without a log.", lambda o: o.log
    ),
    RecordCounter(
        "traced_requests", "Requests with spans by what became of those; absent without tracing.", lambda o: o.spans
    ),
)


class TableCollector(Collector):
    """Reads the numbers from where they live."""

    def __init__(self, table: ServiceTable, link: Link) -> None:
        self._table = table
        self._link = link

    def collect(self) -> Iterator[Family]:
        """Called by the registry."""
        services = sorted(self._table.items())
        for metric in METRICS:
            yield _family(metric, services, self._link, self._table.observability)


def render(table: ServiceTable, link: Link) -> bytes:
    """The page in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(TableCollector(table, link))
    return generate_latest(registry)


def _family(metric: Metric, services: list[tuple[str, Service]], link: Link, observability: Observability) -> Family:
    name = PREFIX + metric.name
    if isinstance(metric, LinkCounter):
        return CounterMetricFamily(name, metric.help, value=metric.read(link))
    if isinstance(metric, RecordCounter):
        fates = CounterMetricFamily(name, metric.help, labels=("fate",))
        batches = metric.read(observability)
        if batches is not None:
            fates.add_metric(("written",), batches.written)
            fates.add_metric(("dropped",), batches.dropped)
        return fates
    if isinstance(metric, LinkGauge):
        return GaugeMetricFamily(name, metric.help, value=metric.read(link))
    if isinstance(metric, ServiceHistogram):
        histograms = HistogramMetricFamily(name, metric.help, labels=("service",))
        for service_name, service in services:
            histogram = metric.read(service)
            histograms.add_metric((service_name,), list(histogram.cumulative()), histogram.total)
        return histograms
    make = CounterMetricFamily if isinstance(metric, ServiceCounter) else GaugeMetricFamily
    family = make(name, metric.help, labels=("service", *metric.labels))
    for service_name, service in services:
        for labels, value in metric.read(service):
            family.add_metric((service_name, *labels), value)
    return family
