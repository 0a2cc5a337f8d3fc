"""The controller's `/metrics`.

One table declares every metric. What describes a service's present state is read from that state when Prometheus
asks, so a service that is gone leaves no series behind and nothing can be forgotten in an update; only what
accumulates (counters, histograms) is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

# A GPU model's wake is seconds to a quarter of an hour.
_WAKE_BUCKETS = (0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 480, 600, 900)
_LOOP_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_SERVICE = ("namespace", "service")


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the catalogue. A metric with `buckets` is a histogram, in seconds."""

    name: str
    help: str
    labels: tuple[str, ...] = _SERVICE
    buckets: tuple[float, ...] = ()


GAUGES = (
    Metric("pilotlight_desired_replicas", "Replicas that the last decision wants."),
    Metric("pilotlight_wanted_replicas", "Replicas last ordered from the cluster."),
    Metric("pilotlight_replicas", "Replicas by phase.", (*_SERVICE, "phase")),
    Metric("pilotlight_requests_in_flight", "Requests running or waiting in replicas; absent while unknown."),
    Metric("pilotlight_requests_held", "Requests waiting in activators; absent while unknown."),
    Metric("pilotlight_window_average", "Average per signal and window; absent while unknown.", (*_SERVICE, "signal")),
    Metric("pilotlight_target_per_replica", "What one replica is given of a signal.", (*_SERVICE, "signal")),
    Metric("pilotlight_panic", "1 while the service is in panic."),
    Metric("pilotlight_excess_burst_capacity", "Spare requests beyond the burst capacity; below 0: activator in path."),
    Metric("pilotlight_expected_wake_seconds", "Time from order to readiness that nine of ten starts kept."),
    Metric("pilotlight_signal_age_seconds", "Age of a reading at the last decision.", (*_SERVICE, "signal")),
    Metric("pilotlight_scaling_mode", "1 for the mode in force.", (*_SERVICE, "mode")),
    Metric("pilotlight_faults", "Things that are wrong with the service now.", (*_SERVICE, "kind")),
    Metric("pilotlight_activators_connected", "Activators connected to this controller.", ()),
    Metric("pilotlight_recording", "1 while a recording is being written, 0 after it had to stop.", ()),
)

COUNTERS = (
    Metric("pilotlight_decisions", "Decisions by reason.", (*_SERVICE, "reason")),
    Metric("pilotlight_errors", "What went wrong, by the step.", (*_SERVICE, "kind")),
    Metric("pilotlight_activator_messages_refused", "Messages of activators that were not what they should be.", ()),
)

HISTOGRAMS = (
    Metric("pilotlight_loop_seconds", "Time of one evaluation of one service.", (), _LOOP_BUCKETS),
    Metric("pilotlight_start_seconds", "Time from order to readiness of a replica.", _SERVICE, _WAKE_BUCKETS),
)

CATALOGUE = (*GAUGES, *COUNTERS, *HISTOGRAMS)

Sample = tuple[str, tuple[str, ...], float]
"""Name of a gauge, the values of its labels, its value."""


class Metrics:
    """Everything `/metrics` shows. `present` gives the gauges' samples when asked."""

    def __init__(self, present: Callable[[], Iterable[Sample]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Present(present))
        self._counters: Mapping[str, Counter] = {
            m.name: Counter(m.name, m.help, m.labels, registry=self._registry) for m in COUNTERS
        }
        self._histograms: Mapping[str, Histogram] = {
            m.name: Histogram(m.name, m.help, m.labels, buckets=m.buckets, registry=self._registry) for m in HISTOGRAMS
        }

    def count(self, name: str, *labels: str) -> None:
        """One more of a counter."""
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc()

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """One value of a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(*labels) if labels else histogram).observe(seconds)

    def forget(self, namespace: str, service: str) -> None:
        """Drop every series of a service that is gone."""
        named = {"namespace": namespace, "service": service}
        for metric in (*COUNTERS, *HISTOGRAMS):
            if metric.labels:
                family = self._counters.get(metric.name) or self._histograms[metric.name]
                family.remove_by_labels(named)

    def text(self) -> bytes:
        """The page, in Prometheus's text format."""
        return generate_latest(self._registry)


class _Present(Collector):
    """Gauges that exist only while somebody looks."""

    def __init__(self, present: Callable[[], Iterable[Sample]]) -> None:
        self._present = present

    def describe(self) -> Iterator[GaugeMetricFamily]:
        for metric in GAUGES:
            yield GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families = {m.name: GaugeMetricFamily(m.name, m.help, labels=m.labels) for m in GAUGES}
        for name, labels, value in self._present():
            families[name].add_metric(labels, value)
        yield from families.values()
