"""What a simulation assumes, said before its result: in words, and as settings by which it can be had again."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pilotlight.simulate.cluster import cluster_said, shared_said
from simulations.census import Census
from simulations.figures import seconds_shown
from simulations.model_notation import ChosenModel
from simulations.scenario import ServiceSpec, StartDraws
from simulations.sweep import Setup


@dataclass(frozen=True, slots=True)
class Start:
    """How starts are, what that is called, and the GPU that it was measured on."""

    draws: StartDraws
    said: str
    gpu: str | None


def assumed(
    given: argparse.Namespace,
    setup: Setup,
    counted: Census,
    model: ChosenModel,
    start: Start,
    objective: str,
    gpu_type: str,
) -> tuple[tuple[str, str], ...]:
    """What, and how much, for people."""
    trace, services = setup.trace, setup.scenario.services
    limits = sorted({spec.limit for spec in services})
    per_replica = ", ".join(str(gpus) for gpus in sorted({spec.gpus for spec in services}))
    came = "request" if counted.requests == 1 else "requests"
    several = "service" if len(services) == 1 else "services"
    patience = f"give up after {seconds_shown(given.client_timeout)}" if given.client_timeout else "never give up"
    when = ", whatever Retry-After says" if given.ignore_retry_after else ", as Retry-After says"
    when = when if given.retries else ""
    retries = "1 retry" if given.retries == 1 else f"{given.retries} retries"
    left = "; engines finish for nobody what they have given up" if given.no_abort_on_disconnect else ""
    gpus, shared = cluster_said(setup.scenario.cluster), shared_said(setup.scenario.cluster)
    failing = f", {given.failed_starts:g} of them fail" if given.failed_starts else ""
    drained = f"at the latest after {seconds_shown(given.drain_time)}" if given.drain_time else "however long that is"
    stopped = f"; its process takes {seconds_shown(given.stop_time)} to end" if given.stop_time else ""
    taken = f"{given.reclaims:g} times an hour, {given.reclaim_notice:g} s after it was told" if given.reclaims else ""
    return (
        (
            "trace",
            f"{trace.name}, {counted.requests:,} {came} of {len(services)} {several} in {_span(trace.span)}, "
            f"sha256 {trace.digest[:16]}…",
        ),
        ("a request takes", model.text + (f" ({model.why}; --model)" if model.why else "")),
        ("limit of a replica", ", ".join("none" if limit == 0 else str(limit) for limit in limits)),
        *((("line of a replica", line),) if (line := line_said(services)) else ()),
        ("a start takes", start.said + failing),
        ("objective", objective),
        ("clients", f"{patience}, {retries}{when}{left}"),
        ("metrics", f"{given.metric_delay:g} s old, {given.metric_loss:.3g} of replicas' readings lost"),
        ("GPUs", f"{gpus}, {per_replica} a replica, {gpu_type} at {setup.price:g} USD an hour"),
        *((("images and weights", shared),) if shared else ()),
        ("a replica goes", f"when its last request is done, {drained}{stopped}"),
        *((("a node is taken", taken),) if taken else ()),
        (
            "begins with",
            f"one replica a service, as a Deployment does; the first {_span(setup.warm_up)} are not counted",
        ),
    )


def line_said(services: Sequence[ServiceSpec]) -> str:
    """The bounds of the lines in queue proxies; empty where no replica has a limit, so that nobody stands in one."""
    limited = [spec for spec in services if spec.limit]
    if not limited:
        return ""
    most = ", ".join(f"{requests:,}" for requests in sorted({spec.queue_requests for spec in limited}))
    longest = sorted({spec.queue_seconds or math.inf for spec in limited})
    seconds = ", ".join(seconds_shown(bound) if bound < math.inf else "any time" for bound in longest)
    return (
        f"at most {most} requests (queue-requests), each for {seconds} (queue-seconds); for those that come while the"
        " activator is out of the path"
    )


def settings_of(setup: Setup, counted: Census, model: ChosenModel, start: Start, gpu_type: str) -> dict[str, object]:
    """The same for machines: with it the same result can be had again."""
    trace, scenario = setup.trace, setup.scenario
    return {
        "trace": {
            "name": trace.name,
            "digest": trace.digest,
            "span_seconds": trace.span,
            "requests": counted.requests,
        },
        "model": model.text,
        "start": {"name": start.draws.name, "mean_seconds": _mean_start(scenario.services[0])},
        "services": {
            spec.name: {
                "limit": spec.limit,
                "gpus": spec.gpus,
                "initial": spec.initial,
                "slo_latency": _finite(spec.objective.latency),
                "slo_ttft": _finite(spec.objective.ttft),
                "failed_starts": spec.start.failure,
                "drain_seconds": spec.drain_seconds or None,
                "stop_seconds": spec.stop_seconds,
                "abort_on_disconnect": spec.abort_on_disconnect,
                "reclaims": spec.reclaims,
                "reclaim_notice_seconds": spec.reclaim_notice,
                "hold_requests": spec.hold.requests,
                "hold_no_endpoint_seconds": spec.hold.no_endpoint_seconds,
                "hold_full_seconds": spec.hold.full_seconds,
                "queue_requests": spec.queue_requests,
                "queue_seconds": spec.queue_seconds or None,
            }
            for spec in scenario.services
        },
        "clients": {
            "timeout": scenario.services[0].clients.timeout,
            "retries": scenario.services[0].clients.retries,
            "backoff": scenario.services[0].clients.backoff,
            "heeds_retry_after": scenario.services[0].clients.heeds_retry_after,
        },
        "gpus": scenario.cluster.gpus_per_node * max(scenario.cluster.nodes, scenario.cluster.most_nodes) or None,
        "cluster": asdict(scenario.cluster),
        "gpu_type": gpu_type,
        "usd_per_gpu_hour": setup.price,
        "metric_delay": scenario.metrics.delay,
        "metric_loss": scenario.metrics.loss,
        "warm_up_seconds": setup.warm_up,
    }


def _mean_start(spec: ServiceSpec) -> float:
    start = spec.start
    phases = (start.schedule, start.image_cached, start.runtime, start.weights_cached, start.engine)
    return math.fsum(float(phase.mean()) for phase in phases)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _span(seconds: float) -> str:
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.3g} days"
    return f"{seconds / 3600:.3g} hours" if seconds >= 7200 else f"{seconds:.4g} s"
