"""The world that `pilotlight simulate` makes of its arguments: services, starts, clients, cluster, price; with every
default said, because a figure is worth nothing to one who does not know what it assumes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from activator.messages import HoldBounds
from autoscaler.policy.scaling_policy import ScalingPolicy
from pilotlight.errors import CommandError
from pilotlight.simulate.assumptions import Start, assumed, settings_of
from pilotlight.simulate.cluster import cluster_of
from pilotlight.simulate.services import Declared, services_of, with_given
from pilotlight.start_arguments import given_profile
from pilotlight.trace_arguments import opened_trace, remarks
from queue_proxy.settings import DEPTH_PER_SLOT
from simulations.census import Census, census
from simulations.model_notation import ChosenModel, ModelError, default_model, parse_model, short_time
from simulations.plant.initial import bin_width
from simulations.profiles.cold_start import ProfileError
from simulations.profiles.prices import DEFAULT_GPU, price_of, prices_with
from simulations.recorded import Recording
from simulations.scenario import (
    Clients,
    ContinuousBatching,
    DrawnSeconds,
    MetricsPath,
    Objective,
    Scenario,
    ScenarioError,
    ServiceSpec,
    StartDraws,
)
from simulations.sweep import Setup
from simulations.traces import notation
from simulations.traces.trace import Trace, TraceError

LONG_TRACE = 12 * 3600.0
_LONGEST_WARM_UP = 600.0


@dataclass(frozen=True, slots=True)
class World:
    """One trace and what it comes to.

    policies     Pilotlight's, by service, with what --set says; recorded: as they were in the recording
    assumptions  what, and how much, for people; config: the same for machines
    """

    setup: Setup
    policies: Mapping[str, ScalingPolicy]
    recorded: Mapping[str, ScalingPolicy] | None
    assumptions: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    config: Mapping[str, object]


def world(given: argparse.Namespace, text: str, known: Mapping[str, Declared], recording: Recording | None) -> World:
    """Of one trace. Raises CommandError."""
    opened, trace = opened_trace(given, text)
    try:
        counted = census(trace)
        if not counted.requests:
            raise CommandError(f"{trace.name}: no request is in it")
        model = _model(given, counted)
        start = _start(given, recording)
        objective, objective_said = _objective(given, model, counted)
    except (TraceError, ModelError, ScenarioError) as error:
        raise CommandError(str(error)) from error
    each = _services(given, trace, known, recording, model)
    policies = dict(zip(trace.services, (one.policy for one in each), strict=True))
    settled = with_given(policies, given.settings)
    gpu_type, price = _price(given, start)
    warm_up = _warm_up(given, trace)
    scenario = _scenario(given, trace, model, start, objective, each, settled)
    setup = Setup(trace, scenario, price, warm_up)
    assumptions = assumed(given, setup, counted, model, start, objective_said, gpu_type)
    return World(
        setup=setup,
        policies=settled,
        recorded=policies if recording is not None else None,
        assumptions=assumptions,
        remarks=tuple(remarks(opened)),
        config=settings_of(setup, counted, model, start, gpu_type),
    )


def _model(given: argparse.Namespace, counted: Census) -> ChosenModel:
    if given.model is None:
        return default_model(counted)
    return ChosenModel(parse_model(given.model, counted), given.model, "")


def _start(given: argparse.Namespace, recording: Recording | None) -> Start:
    if given.startup is not None:
        return Start(StartDraws.of(f"{given.startup:g} s", given.startup), f"{given.startup:g} s, always", None)
    measured = [value for wakes in recording.wakes.values() for value in wakes] if recording else []
    if measured and given.profile is None and given.samples is None:
        draws = StartDraws("measured in the recording", engine=np.array(measured))
        said = f"{len(measured)} values measured in the recording, median {np.median(measured):.3g} s"
        return Start(draws, said, None)
    profile = given_profile(given)
    median = profile.total().quantile(0.5)
    return Start(profile.draws(given.failed_starts), f"profile {profile.name}, median {median:.3g} s", profile.gpu)


def _objective(given: argparse.Namespace, model: ChosenModel, counted: Census) -> tuple[Objective, str]:
    if given.slo is None:
        if isinstance(model.model, ContinuousBatching):
            return Objective(ttft=2.0), "ttft=2s"
        mean = model.model.mean if isinstance(model.model, DrawnSeconds) else counted.mean_seconds
        seconds = max(1.0, float(f"{5.0 * mean:.2g}")) if not math.isnan(mean) else 10.0
        return Objective(latency=seconds), f"latency={seconds:g}s (five mean durations, at least 1 s)"
    try:
        pairs = notation.pairs(given.slo)
    except TraceError as error:
        raise ModelError(f"--slo: {error}; latency=TIME, ttft=TIME or both") from None
    unknown = sorted(set(pairs) - {"latency", "ttft"})
    if unknown or not pairs:
        raise ModelError(f"--slo: {', '.join(unknown) or given.slo!r}: there are latency and ttft, as in latency=5s")
    times = {key: short_time("--slo", key, text) for key, text in pairs.items()}
    return Objective(times.get("latency", math.inf), times.get("ttft", math.inf)), given.slo


def _services(
    given: argparse.Namespace,
    trace: Trace,
    known: Mapping[str, Declared],
    recording: Recording | None,
    model: ChosenModel,
) -> list[Declared]:
    usual = model.model.slots or 1
    if recording is not None and not known:
        recorded = {name: Declared(policy, 1, "the recording") for name, policy in recording.policies.items()}
        return services_of(trace.services, recorded, given.limit, usual)
    return services_of(trace.services, known, given.limit, usual)


def _scenario(
    given: argparse.Namespace,
    trace: Trace,
    model: ChosenModel,
    start: Start,
    objective: Objective,
    each: list[Declared],
    policies: Mapping[str, ScalingPolicy],
) -> Scenario:
    draws = StartDraws(**{name: getattr(start.draws, name) for name in _DRAWS}, failure=given.failed_starts)
    clients = Clients(given.client_timeout, given.retries, heeds_retry_after=not given.ignore_retry_after)
    cluster = cluster_of(given)
    left = cluster.nodes * cluster.gpus_per_node if cluster.gpus_per_node else math.inf
    services = []
    for name, declared in zip(trace.services, each, strict=True):
        policy = policies[name]
        gpus = given.gpus_per_replica or declared.gpus
        # A Deployment begins with one replica. Where GPUs are few, those begin with one for whom there is room.
        initial = 1 if gpus <= left else 0
        left -= gpus * initial
        hold = HoldBounds(policy.hold.requests, 0, policy.hold.no_endpoint_seconds, policy.hold.full_seconds)
        services.append(
            ServiceSpec(
                name=name,
                model=model.model,
                start=draws,
                limit=policy.container_concurrency,
                gpus=gpus,
                clients=clients,
                hold=hold,
                queue_requests=policy.queue.requests or DEPTH_PER_SLOT * policy.container_concurrency,
                queue_seconds=policy.queue.seconds or 0.0,
                objective=objective,
                abort_on_disconnect=not given.no_abort_on_disconnect,
                drain_seconds=given.drain_time,
                stop_seconds=given.stop_time,
                reclaims=given.reclaims,
                reclaim_notice=given.reclaim_notice,
                initial=initial,
            )
        )
    try:
        return Scenario(tuple(services), cluster, given.seed, MetricsPath(given.metric_delay, given.metric_loss))
    except ScenarioError as error:
        raise CommandError(str(error)) from error


_DRAWS = (
    "name", "schedule", "node", "image", "image_cached", "runtime", "weights", "weights_cached", "engine",
)  # fmt: skip


def _price(given: argparse.Namespace, start: Start) -> tuple[str, float]:
    """The one kind of GPU that all replicas have, and what it costs. Raises CommandError."""
    gpu = given.gpu_type or start.gpu or DEFAULT_GPU
    said = f"all replicas have the GPU {gpu} (--gpu-type names another), so --price is {gpu}=USD or USD"
    if len(given.price) > 1:
        raise CommandError(f"--price is given more than once ({', '.join(given.price)}): {said}")
    price = given.price[0] if given.price else gpu
    named = [price] if "=" in price else []
    if named and price.partition("=")[0].strip().lower() not in ("", gpu.lower()):
        raise CommandError(f"--price {price}: {said}")
    try:
        return gpu, price_of(gpu if named else price, prices_with(named))
    except ProfileError as error:
        raise CommandError(str(error)) from error


def _warm_up(given: argparse.Namespace, trace: Trace) -> float:
    """Whole bins of the time line. Raises CommandError for one that leaves nothing."""
    if given.warm_up is None:
        wanted = min(_LONGEST_WARM_UP, trace.span / 10.0)
    elif given.warm_up >= trace.span:
        raise CommandError(f"--warm-up {given.warm_up:g} s: {trace.name} has {trace.span:g} s")
    else:
        wanted = given.warm_up
    width = bin_width(trace.span)
    whole = math.ceil(wanted / width) * width
    return whole if whole < trace.span else 0.0
