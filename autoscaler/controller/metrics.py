"""The controller's `/metrics`.

One table declares every metric. Nearly all of them describe what the controller knows anyway, so they are read from
there when Prometheus asks: a service that is gone leaves no series behind, and nothing can be forgotten in an update.
Only histograms are kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_SERVICE = ("namespace", "service")
# A GPU model's start takes seconds to a quarter of an hour.
_START_BUCKETS = (0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 480, 600, 900)
_LOOP_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


class Kind(Enum):
    """What Prometheus calls its types."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the catalogue. A counter's name is exposed with `_total` behind it."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
_SIGNAL = (*_SERVICE, "signal")
_OF_A_SERVICE = (
    Metric("pilotlight_desired_replicas", _G, _SERVICE, "Replicas that the last decision wants."),
    Metric("pilotlight_wanted_replicas", _G, _SERVICE, "Replicas last ordered from the cluster."),
    Metric("pilotlight_replicas", _G, (*_SERVICE, "phase"), "Replicas by phase."),
    Metric("pilotlight_requests_in_flight", _G, _SERVICE, "Requests in replicas; absent while unknown."),
    Metric("pilotlight_requests_held", _G, _SERVICE, "Requests waiting in activators; absent while unknown."),
    Metric(
        "pilotlight_gpu_utilization_ratio",
        _G,
        _SERVICE,
        "Mean share of time at work of the GPUs of ready replicas, 0 to 1; absent while unknown.",
    ),
    Metric(
        "pilotlight_gpu_memory_ratio",
        _G,
        _SERVICE,
        "Mean share of memory in use of the GPUs of ready replicas, 0 to 1; absent while unknown.",
    ),
    Metric("pilotlight_signal_value", _G, _SIGNAL, "Window average of a signal; absent while unknown."),
    Metric("pilotlight_signal_target", _G, _SIGNAL, "What one replica is given of a signal."),
    Metric("pilotlight_signal_replicas", _G, _SIGNAL, "Replicas that a signal alone asks for."),
    Metric(
        "pilotlight_reading_age_seconds",
        _G,
        (*_SERVICE, "reading"),
        "Seconds since the least recently heard source spoke.",
    ),
    Metric("pilotlight_panic", _G, _SERVICE, "1 while the service is in panic."),
    Metric("pilotlight_excess_burst_capacity", _G, _SERVICE, "Requests that could come at once and find room."),
    Metric("pilotlight_expected_wake_seconds", _G, _SERVICE, "From order to readiness, in nine of ten starts."),
    Metric("pilotlight_refused", _G, (*_SERVICE, "code"), "1 for each reason why the service may not be scaled."),
    Metric("pilotlight_mode", _G, (*_SERVICE, "mode"), "1 for the mode in force: on, shadow or off."),
    Metric("pilotlight_faults", _G, (*_SERVICE, "kind"), "How many things are wrong now."),
    Metric("pilotlight_errors", _C, (*_SERVICE, "kind"), "What went wrong, by step."),
    Metric("pilotlight_decisions", _C, (*_SERVICE, "reason"), "Decisions, by reason."),
)
_OF_THE_CONTROLLER = (
    Metric("pilotlight_cluster_trouble", _G, (), "Reasons why what the cluster shows may be old."),
    Metric("pilotlight_activators_connected", _G, (), "Activators connected now."),
    Metric(
        "pilotlight_activator_messages_refused", _C, (), "Messages of activators that were not what they should be."
    ),
    Metric("pilotlight_gpu_metrics_up", _G, (), "1 while what GPUs do can be read, 0 while not; absent without GPUs."),
    Metric("pilotlight_gpu_metrics_failures", _C, (), "Times that what GPUs do could not be read."),
    Metric("pilotlight_recording", _G, (), "1 while a recording is written, 0 once it had to stop."),
)
OF_LEADERSHIP = (
    Metric("pilotlight_leader", _G, (), "1 while this controller leads; of several, one does."),
    Metric("pilotlight_leader_terms", _C, (), "Times that this controller began to lead."),
    Metric("pilotlight_activators_refused", _C, (), "Connections of activators that could not show who they are."),
    Metric(
        "pilotlight_told_addresses",
        _C,
        ("outcome",),
        "Addresses that pods told of themselves: news, known (the API server was faster), unknown pods (or ready "
        "elsewhere as yet), refused.",
    ),
)
LOOP_SECONDS = Metric("pilotlight_evaluation_seconds", _H, (), "Time that one evaluation takes.", _LOOP_BUCKETS)
START_SECONDS = Metric(
    "pilotlight_replica_start_seconds", _H, _SERVICE, "From order to readiness of a replica.", _START_BUCKETS
)

WAKE_SECONDS = Metric(
    "pilotlight_wake_seconds", _H, _SERVICE, "From the decision to wake to the first readiness.", _START_BUCKETS
)

PHASE_SECONDS = Metric(
    "pilotlight_start_phase_seconds",
    _H,
    (*_SERVICE, "phase"),
    "What each phase of a replica's start takes.",
    _START_BUCKETS,
)

CATALOGUE = (
    *_OF_A_SERVICE,
    *_OF_THE_CONTROLLER,
    *OF_LEADERSHIP,
    LOOP_SECONDS,
    START_SECONDS,
    WAKE_SECONDS,
    PHASE_SECONDS,
)

Sample = tuple[str, tuple[str, ...], float]
"""Name of a metric, the values of its labels, its value."""


class Metrics:
    """Everything `/metrics` shows. `present` gives the samples of gauges and counters when asked."""

    def __init__(self, present: Callable[[], Iterable[Sample]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Present(present, (*_OF_A_SERVICE, *_OF_THE_CONTROLLER)))
        self._loop = self._histogram(LOOP_SECONDS)
        self._starts = self._histogram(START_SECONDS)
        self._wakes = self._histogram(WAKE_SECONDS)
        self._phases = self._histogram(PHASE_SECONDS)

    def evaluated(self, seconds: float) -> None:
        """One evaluation took so long."""
        self._loop.observe(seconds)

    def measured(self, service: str, starts: Iterable[float], wakes: Iterable[float]) -> None:
        """Replicas of `namespace/name` took so long to start, and wakes of it so long in all. Seconds."""
        for family, durations in ((self._starts, starts), (self._wakes, wakes)):
            for seconds in durations:
                family.labels(*labels_of(service)).observe(seconds)

    def started(self, service: str, phases: Iterable[tuple[str, float]]) -> None:
        """Phases of starts of replicas of `namespace/name`: which, and how many seconds it took."""
        for phase, seconds in phases:
            self._phases.labels(*labels_of(service), phase).observe(seconds)

    def forget(self, service: str) -> None:
        """Drop what is kept of a service that is gone."""
        for family in (self._starts, self._wakes, self._phases):
            family.remove_by_labels(dict(zip(_SERVICE, labels_of(service), strict=True)))

    def text(self) -> bytes:
        """The page, in Prometheus's text format."""
        return generate_latest(self._registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=self._registry)


def metrics_page(metrics: Sequence[Metric], present: Callable[[], Iterable[Sample]]) -> bytes:
    """A page of gauges and counters, in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Present(present, metrics))
    return generate_latest(registry)


def labels_of(service: str) -> tuple[str, str]:
    """`namespace/name` as the two labels."""
    namespace, _, name = service.partition("/")
    return namespace, name


class _Present(Collector):
    """Metrics that exist only while somebody looks."""

    def __init__(self, present: Callable[[], Iterable[Sample]], metrics: Sequence[Metric]) -> None:
        self._present = present
        self._metrics = metrics

    def describe(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The families without samples: registering must not ask for what is not there yet."""
        yield from self._families().values()

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The families with the samples of this moment."""
        families = self._families()
        for name, labels, value in self._present():
            families[name].add_metric(labels, value)
        yield from families.values()

    def _families(self) -> dict[str, GaugeMetricFamily | CounterMetricFamily]:
        family = {Kind.GAUGE: GaugeMetricFamily, Kind.COUNTER: CounterMetricFamily}
        return {
            metric.name: family[metric.kind](metric.name, metric.help, labels=metric.labels) for metric in self._metrics
        }
