"""Prometheus' page, made from the table in `metrics` each time somebody scrapes.

A module of its own because the Prometheus library takes longer to import than the rest of the proxy takes to
start: it is loaded when the first page is asked for, in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from queue_proxy import metrics
from queue_proxy.metrics import Kind, Sources

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class TableCollector(Collector):
    """Reads the numbers from where they live."""

    def __init__(self, sources: Sources) -> None:
        """Reads nothing yet."""
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        for metric in metrics.METRICS:
            yield _family(metric, self._sources)


def render(sources: Sources) -> bytes:
    """The page in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(TableCollector(sources))
    return generate_latest(registry)


def _family(metric: metrics.Metric, sources: Sources) -> Metric:
    name = metrics.PREFIX + metric.name
    if metric.histogram is not None:
        histogram = metric.histogram(sources)
        buckets = list(histogram.cumulative())
        return HistogramMetricFamily(name, metric.help, buckets=buckets, sum_value=histogram.total, unit=metric.unit)
    make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(name, metric.help, labels=metric.labels, unit=metric.unit)
    for labels, value in metric.read(sources):
        family.add_metric(labels, value)
    return family
