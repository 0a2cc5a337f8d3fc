"""The page of `/metrics`: made in pieces, and the same as if it were not."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from autoscaler.controller.metrics import Metrics, Sample
from autoscaler.controller.metrics_page import Page

pytestmark = pytest.mark.looptime

NAMES = [f"team/model-{number:03}" for number in range(100)]


class Values(Collector):
    """A gauge and a counter with a label."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = tuple(values)

    def collect(self) -> Iterator[Family]:
        gauge = GaugeMetricFamily("level", "How much.", labels=("of",))
        counter = CounterMetricFamily("events", "How\nmany \\.", labels=("of",))
        for value in self._values:
            gauge.add_metric((value,), 1.5)
            counter.add_metric((value,), 2)
        yield from (gauge, counter)


@given(st.lists(st.text() | st.sampled_from(["\n# HELP level How much.\n", '"}\n# TYPE x gauge']), unique=True))
def test_pieces_are_together_what_the_whole_is(values: list[str]) -> None:
    pieces = Page()
    pieces.add(())
    for value in values:
        pieces.add((Values((value,)),))
    if values:
        assert pieces.text() == generate_latest(Values(values))


def test_histograms_of_several_services_are_one_family() -> None:
    whole, pieces = CollectorRegistry(), Page()
    labels, buckets = ("service",), (1, 2)
    together = Histogram("seconds", "Time.", labels, buckets=buckets, registry=whole)
    for name in ("a", "b"):
        alone = Histogram("seconds", "Time.", labels, buckets=buckets, registry=None)
        for of in (alone, together):
            of.labels(name).observe(1.5)
        pieces.add((alone,))

    def lines(page: bytes) -> list[bytes]:
        return sorted(line for line in page.splitlines() if not re.match(rb"seconds_created\{", line))

    assert lines(pieces.text()) == lines(generate_latest(whole))
    assert pieces.text().count(b"# TYPE seconds histogram\n") == 1


class Fleet:
    """A hundred services with a few samples each."""

    def __init__(self) -> None:
        self.there = list(NAMES)
        self.asked: list[str] = []

    def of_the_controller(self) -> Iterable[Sample]:
        yield "pilotlight_activators_connected", (), 2

    def names(self) -> list[str]:
        return list(self.there)

    def of_a_service(self, service: str) -> Iterable[Sample]:
        self.asked.append(service)
        if service in self.there:
            labels = tuple(service.split("/"))
            yield "pilotlight_panic", labels, 0
            yield "pilotlight_decisions", (*labels, "steady"), 7


def measured(fleet: Fleet) -> Metrics:
    metrics = Metrics(fleet)
    for name in fleet.there:
        metrics.measured(name, [3.0], [4.0])
        metrics.started(name, [("ready", 2.0)])
    return metrics


def services_of(page: bytes, metric: str) -> list[str]:
    families = {family.name: family for family in text_string_to_metric_families(page.decode())}
    return sorted({f"{s.labels['namespace']}/{s.labels['service']}" for s in families[metric].samples})


async def test_the_loop_has_its_turn_after_a_few_services() -> None:
    fleet = Fleet()
    making = asyncio.create_task(measured(fleet).text())
    most = before = 0
    while not making.done():
        await asyncio.sleep(0)
        most, before = max(most, len(fleet.asked) - before), len(fleet.asked)
    assert 0 < most <= 5
    assert services_of(making.result(), "pilotlight_panic") == NAMES


async def test_each_family_is_in_one_place_with_all_services() -> None:
    page = await measured(Fleet()).text()
    heads = Counter(line for line in page.splitlines() if line.startswith(b"# TYPE "))
    assert max(heads.values()) == 1
    for metric in ("pilotlight_panic", "pilotlight_decisions", "pilotlight_wake_seconds"):
        assert services_of(page, metric) == NAMES
    text = page.decode()
    assert 'pilotlight_start_phase_seconds_count{namespace="team",phase="ready",service="model-007"} 1.0\n' in text
    assert "pilotlight_activators_connected 2.0\n" in text
    # A family without samples is on the page too.
    assert "# TYPE pilotlight_recording gauge\n" in text


async def test_two_that_ask_at_once_each_get_the_whole_page() -> None:
    metrics = measured(Fleet())
    alone = await metrics.text()
    one, other = await asyncio.gather(metrics.text(), metrics.text())
    assert one == other == alone


async def test_a_service_that_goes_while_the_page_is_made_is_not_on_it() -> None:
    fleet = Fleet()
    metrics = measured(fleet)
    making = asyncio.create_task(metrics.text())
    await asyncio.sleep(0)
    gone = fleet.there.pop()
    metrics.forget(gone)
    page = await making
    assert services_of(page, "pilotlight_panic") == services_of(page, "pilotlight_wake_seconds") == NAMES[:-1]
