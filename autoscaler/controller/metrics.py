"""The controller's `/metrics`.

One table declares every metric. Nearly all of them describe what the controller knows anyway, so they are read from
there when Prometheus asks: a service that is gone leaves no series behind, and nothing can be forgotten in an update.
Only histograms are kept here, those of a service by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from autoscaler.controller.metrics_page import Page
from autoscaler.controller.pauses import with_pauses

_SERVICE = ("namespace", "service")
# A GPU model's start takes seconds to a quarter of an hour.
_START_BUCKETS = (0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 480, 600, 900)
# Each has some sixty lines, and hundreds once it has started.
_SERVICES_AT_ONCE = 5
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


class Shown(Protocol):
    """Gives the samples of gauges and counters, as of now."""

    def of_the_controller(self) -> Iterable[Sample]:
        """Those without a service."""
        ...

    def names(self) -> Sequence[str]:
        """The services that there are, in order."""
        ...

    def of_a_service(self, service: str) -> Iterable[Sample]:
        """Its own; none when it is gone."""
        ...


class Metrics:
    """Everything `/metrics` shows."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._loop = _histogram(LOOP_SECONDS)
        self._durations: dict[str, _Durations] = {}

    def evaluated(self, seconds: float) -> None:
        """One evaluation took so long."""
        self._loop.observe(seconds)

    def measured(self, service: str, starts: Iterable[float], wakes: Iterable[float]) -> None:
        """Replicas of `namespace/name` took so long to start, and wakes of it so long in all. Seconds."""
        for seconds in starts:
            self._of(service).starts.labels(*labels_of(service)).observe(seconds)
        for seconds in wakes:
            self._of(service).wakes.labels(*labels_of(service)).observe(seconds)

    def started(self, service: str, phases: Iterable[tuple[str, float]]) -> None:
        """Phases of starts of replicas of `namespace/name`: which, and how many seconds it took."""
        for phase, seconds in phases:
            self._of(service).phases.labels(*labels_of(service), phase).observe(seconds)

    def forget(self, service: str) -> None:
        """Drop what is kept of a service that is gone."""
        self._durations.pop(service, None)

    async def text(self) -> bytes:
        """The page, in Prometheus's text format. What is new while it is made may be on it or not."""
        page = Page()
        present = _Present(self._shown.of_the_controller, (*_OF_A_SERVICE, *_OF_THE_CONTROLLER))
        page.add((present, self._loop, *_Durations().all))
        await with_pauses(self._add_each_few(page), 1)
        return page.text()

    def _add_each_few(self, page: Page) -> Iterator[None]:
        names = self._shown.names()
        for first in range(0, len(names), _SERVICES_AT_ONCE):
            few = names[first : first + _SERVICES_AT_ONCE]
            durations = [kept for name in few if (kept := self._durations.get(name)) is not None]
            page.add(
                (_Present(partial(self._of_each, few), _OF_A_SERVICE), *(h for kept in durations for h in kept.all))
            )
            yield

    def _of_each(self, services: Iterable[str]) -> Iterator[Sample]:
        for service in services:
            yield from self._shown.of_a_service(service)

    def _of(self, service: str) -> _Durations:
        kept = self._durations.get(service)
        if kept is None:
            kept = self._durations[service] = _Durations()
        return kept


class _Durations:
    """Histograms of one service."""

    __slots__ = ("phases", "starts", "wakes")

    def __init__(self) -> None:
        self.starts = _histogram(START_SECONDS)
        self.wakes = _histogram(WAKE_SECONDS)
        self.phases = _histogram(PHASE_SECONDS)

    @property
    def all(self) -> tuple[Histogram, Histogram, Histogram]:
        return self.starts, self.wakes, self.phases


def _histogram(metric: Metric) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=None)


def metrics_page(metrics: Sequence[Metric], present: Callable[[], Iterable[Sample]]) -> bytes:
    """A page of a few gauges and counters, in Prometheus's text format."""
    page = Page()
    page.add((_Present(present, metrics),))
    return page.text()


def labels_of(service: str) -> tuple[str, str]:
    """`namespace/name` as the two labels."""
    namespace, _, name = service.partition("/")
    return namespace, name


class _Present(Collector):
    """Metrics that exist only while somebody looks."""

    def __init__(self, present: Callable[[], Iterable[Sample]], metrics: Sequence[Metric]) -> None:
        self._present = present
        self._metrics = metrics

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
