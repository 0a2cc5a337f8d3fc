"""The state of a plant at the beginning of a trace, from a scenario."""

from __future__ import annotations

import math
from collections.abc import Callable, MutableSequence, Sequence
from typing import cast

import numpy as np

from simulations.plant.codes import BUCKETS, HISTOGRAMS, INFINITE, NEAR, NONE, STARTS_KEPT
from simulations.plant.records import Bin, Event, Link, Node, Row, Second, State, Told, ToldSecond, World
from simulations.plant.service_record import Service
from simulations.plant.storage import RecordT, chain, dtype_of, integers, numbers, records
from simulations.plant.work_records import BatchPlace, Group, Replica, Request
from simulations.scenario import PHASE_FIELDS, ClusterSpec, ContinuousBatching, MetricsPath, Scenario, ServiceSpec

# At most this many bins of the time line; a width in whole seconds that needs no more.
BIN_LIMIT = 1_440
_FIRST_REQUESTS = 1_024
_FIRST_REPLICAS = 64
_LIFETIMES = 4_096
_UNBOUNDED_GPUS = 1 << 40


def bin_width(span: float) -> float:
    """Seconds of a bin, whole, so that a whole second never lies in two."""
    return float(max(1, math.ceil(span / BIN_LIMIT)))


def initial_state(
    scenario: Scenario, *, compiled: bool, ring: int, bins: int, width: float, latencies: int = 0
) -> State:
    """Everything at time 0, with no replica yet."""
    services, cluster = scenario.services, scenario.cluster
    count = len(services)
    batch = max((s.model.slots for s in services if isinstance(s.model, ContinuousBatching)), default=0)
    nodes = max(cluster.nodes, cluster.most_nodes) if cluster.gpus_per_node else 1
    samples, sample_from = _samples(services)
    groups = _FIRST_REPLICAS + count + 2
    world = World(
        seed=scenario.seed & 0xFFFFFFFF,
        free_request=0,
        request_room=_FIRST_REQUESTS,
        free_replica=0,
        replica_room=_FIRST_REPLICAS,
        free_group=0,
        event_room=4 * _FIRST_REQUESTS,
        services=count,
        ring=ring,
        tells_silence=int(scenario.metrics.loss > 0.0),  # of each second it is then asked who has told of it
        bins=bins,
        bin_width=width,
        batch=batch,
        nodes=nodes,
        lasting_nodes=cluster.nodes if cluster.gpus_per_node else 1,
        nodes_there=cluster.nodes if cluster.gpus_per_node else 0,
        gpus_per_node=cluster.gpus_per_node,
        node_idle_seconds=cluster.node_idle_seconds,
        latencies_kept=latencies,
    )
    return State(
        world=_stored([world], compiled=compiled),
        services=_stored([_service(service, scenario.metrics, width) for service in services], compiled=compiled),
        replicas=_chained(Replica, "next", _FIRST_REPLICAS, compiled=compiled),
        requests=_chained(Request, "behind", _FIRST_REQUESTS, compiled=compiled),
        groups=_chained(Group, "higher", groups, compiled=compiled),
        batches=records(BatchPlace, max(1, _FIRST_REPLICAS * batch), compiled=compiled),
        nodes=_stored(_nodes(cluster, nodes), compiled=compiled),
        links=_stored([Link(cluster.image_streams), Link(cluster.weight_streams)], compiled=compiled),
        seconds=records(Second, count * ring, compiled=compiled),
        told=records(Told, 1, compiled=compiled),
        told_seconds=records(ToldSecond, ring, compiled=compiled),
        bins=records(Bin, count * bins, compiled=compiled),
        near=records(Event, NEAR, compiled=compiled),
        heap=records(Event, 4 * _FIRST_REQUESTS, compiled=compiled),
        rows=records(Row, 1, compiled=compiled),
        histograms=integers(count * HISTOGRAMS * BUCKETS, compiled=compiled),
        caches=_caches(cluster, nodes, count, compiled=compiled),
        last_starts=numbers(count * STARTS_KEPT, compiled=compiled),
        latencies=numbers(max(1, latencies), compiled=compiled),
        samples=samples if compiled else samples.tolist(),  # type: ignore[arg-type]
        sample_from=sample_from if compiled else sample_from.tolist(),  # type: ignore[arg-type]
    )


def _service(spec: ServiceSpec, metrics: MetricsPath, width: float) -> Service:
    service = Service(
        slots=spec.model.slots,
        limit=spec.limit,
        gpus=spec.gpus,
        timeout=spec.clients.timeout,
        retries=spec.clients.retries,
        backoff=spec.clients.backoff,
        heeds_retry_after=int(spec.clients.heeds_retry_after),
        aborts=int(spec.abort_on_disconnect),
        hold_requests=spec.hold.requests,
        hold_no_endpoint=spec.hold.no_endpoint_seconds,
        hold_full=spec.hold.full_seconds,
        queue_requests=spec.queue_requests,
        queue_seconds=spec.queue_seconds,
        good_latency=spec.objective.latency,
        good_ttft=spec.objective.ttft,
        drain_seconds=spec.drain_seconds,
        stop_seconds=spec.stop_seconds,
        failure=spec.start.failure,
        is_reclaimed=int(spec.reclaims > 0.0),
        reclaim_notice=spec.reclaim_notice,
        start_backoff=spec.start.backoff,
        longest_backoff=spec.start.longest_backoff,
        starts_in_order=int(spec.start.in_order),
        scrape_at=metrics.scrape_at or 0.0,
        carried=metrics.scrape_at or 0.0,
        scraped_when_ready=int(metrics.scrape_at is None),
        second_end=1.0 + (metrics.scrape_at or 0.0),
        push_at=metrics.push_at,
        push_end=1.0 + metrics.push_at,
        bin_end=width,
    )
    if isinstance(spec.model, ContinuousBatching):
        service.batching = 1
        service.prefill, service.alpha, service.beta = spec.model.prefill, spec.model.alpha, spec.model.beta
        service.kv_tokens = spec.model.kv_tokens
    return service


def _nodes(cluster: ClusterSpec, count: int) -> list[Node]:
    if not cluster.gpus_per_node:
        return [Node(there=1, gpus_free=_UNBOUNDED_GPUS)]
    return [
        Node(there=1, gpus_free=cluster.gpus_per_node) if n < cluster.nodes else Node(idle_since=INFINITE)
        for n in range(count)
    ]


def _caches(cluster: ClusterSpec, nodes: int, services: int, *, compiled: bool) -> MutableSequence[int]:
    caches = integers(nodes * services, compiled=compiled)
    lasting = cluster.nodes if cluster.gpus_per_node else 1
    if cluster.caches_warm:
        for place in range(min(nodes, lasting) * services):
            caches[place] = 3
    return caches


def _samples(services: Sequence[ServiceSpec]) -> tuple[np.ndarray, np.ndarray]:
    """All samples of all phases and lifetimes in one line, and where each begins."""
    parts: list[np.ndarray] = []
    starts: list[int] = []
    at = 0
    for service in services:
        for phase in PHASE_FIELDS:
            samples = np.asarray(getattr(service.start, phase), dtype=np.float64)
            starts.append(at)
            parts.append(samples)
            at += len(samples)
        starts.append(at)
        parts.append(_lifetimes(service.reclaims))
        at += len(parts[-1])
    return np.concatenate(parts), np.array([*starts, at], dtype=np.int64)


def _lifetimes(reclaims: float) -> np.ndarray:
    """Quantiles of exponential times with this many ends an hour; one that never comes for none."""
    if reclaims <= 0.0:
        return np.array([INFINITE])
    middles = (np.arange(_LIFETIMES) + 0.5) / _LIFETIMES
    return np.asarray(-np.log1p(-middles) * (3600.0 / reclaims))


def _chained(kind: Callable[[], RecordT], name: str, count: int, *, compiled: bool) -> Sequence[RecordT]:
    """Free records, each with the next one in its field `name`."""
    collection = records(kind, count, compiled=compiled)
    chain(collection, name, 0, count, NONE)
    return collection


def _stored(objects: list, *, compiled: bool) -> Sequence:  # type: ignore[type-arg]
    if not compiled:
        return objects
    kind = type(objects[0])
    names = list(kind.__dataclass_fields__)
    rows = [tuple(getattr(record, name) for name in names) for record in objects]
    return cast("Sequence[object]", np.array(rows, dtype=dtype_of(kind)))
