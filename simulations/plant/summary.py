"""Results from the records at the end of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np

from simulations.plant.codes import BUCKETS, HISTOGRAMS, LOWEST_OCTAVE, OCTAVES, PER_OCTAVE, WINDOW_LEAST
from simulations.plant.records import Bin, State, World
from simulations.plant.results import F8, GpuUse, Histogram, Outcome, Results, ServiceResults, Timeline
from simulations.plant.service_record import Service
from simulations.plant.storage import objects
from simulations.scenario import Scenario, StartPhase


def edges() -> F8:
    """The edges of all histograms, in seconds; the first bucket begins at 0 and the last has no end."""
    octaves = 2.0 ** (LOWEST_OCTAVE + np.arange(OCTAVES))
    inside = 1.0 + np.arange(PER_OCTAVE) / PER_OCTAVE
    every = np.append((octaves[:, None] * inside[None, :]).ravel(), 2.0 ** (LOWEST_OCTAVE + OCTAVES))
    every[0] = 0.0
    return cast("F8", every)


def summary(scenario: Scenario, state: State) -> Results:
    """Everything up to now. All areas have been brought up to now."""
    world = objects(World, state.world)[0]
    counts = np.asarray(state.histograms, dtype=np.int64).reshape(-1, HISTOGRAMS, BUCKETS)
    shared_edges = edges()
    services = objects(Service, state.services)
    return Results(
        span=world.now,
        services=tuple(
            _service(spec.name, s, service, world, state, [Histogram(shared_edges, c.copy()) for c in counts[s]])
            for s, (spec, service) in enumerate(zip(scenario.services, services, strict=True))
        ),
        worst_window=_worst(world.worst_window, world.window_ended, world.window_good),
        node_gpu_seconds=world.node_seconds * world.gpus_per_node,
        most_gpus=world.most_gpus,
    )


def _service(
    name: str, s: int, service: Service, world: World, state: State, histograms: Sequence[Histogram]
) -> ServiceResults:
    outcomes = {
        Outcome.COMPLETED: service.completed,
        Outcome.REFUSED_NO_ENDPOINT: service.refused_no_endpoint,
        Outcome.REFUSED_FULL: service.refused_full,
        Outcome.TIMED_OUT: service.timed_out,
        Outcome.CUT: service.cut,
    }
    outcomes[Outcome.UNFINISHED] = service.requests - sum(outcomes.values())
    return ServiceResults(
        name=name,
        requests=service.requests,
        attempts=service.attempts,
        outcomes=outcomes,
        good=service.good,
        worst_window=_worst(service.worst_window, service.window_ended, service.window_good),
        cold=service.cold,
        wait_seconds=service.wait_seconds,
        latency_warm=histograms[0],
        latency_cold=histograms[1],
        # Without batching an answer comes whole: its first token is when it ends.
        ttft_warm=histograms[2 * service.batching],
        ttft_cold=histograms[1 + 2 * service.batching],
        latency_sum=service.latency_sum,
        latency_squares=service.latency_squares,
        input_tokens=service.input_tokens,
        output_tokens=service.output_tokens,
        gpu_seconds={
            GpuUse.SERVING: service.busy_seconds * service.gpus,
            GpuUse.IDLE: (service.ready_seconds - service.busy_seconds) * service.gpus,
            GpuUse.STARTING: service.starting_seconds * service.gpus,
            GpuUse.DRAINING: service.draining_seconds * service.gpus,
            GpuUse.FAILED: service.failed_seconds * service.gpus,
        },
        phase_seconds={
            StartPhase.SCHEDULE: service.schedule_phase,
            StartPhase.NODE: service.node_phase,
            StartPhase.IMAGE: service.image_phase,
            StartPhase.RUNTIME: service.runtime_phase,
            StartPhase.WEIGHTS: service.weights_phase,
            StartPhase.ENGINE: service.engine_phase,
        },
        starts=service.starts,
        failed_starts=service.failed_starts,
        reclaimed=service.reclaimed,
        raised=service.raised,
        lowered=service.lowered,
        reversals=service.reversals,
        timeline=_timeline(s, service, world, state),
    )


def _worst(worst: float, ended: int, good: int) -> float:
    """With the window that is not over yet; NaN when no window had enough requests."""
    if ended >= WINDOW_LEAST:
        worst = min(worst, good / ended)
    return worst if worst <= 1.0 else math.nan


def _timeline(s: int, service: Service, world: World, state: State) -> Timeline:
    width = world.bin_width
    used = max(1, min(world.bins, math.ceil(world.now / width)))
    rows = objects(Bin, state.bins[s * world.bins : s * world.bins + used])
    seconds = np.full(used, width)
    seconds[-1] = max(world.now - (used - 1) * width, 1e-9)
    # What is in the bin that is not over yet is in none so far.
    running = min(used - 1, service.bin)
    # What came or ended at the very last moment, where a bin ends there: it is in the one that would follow.
    ends = np.array([(row.arrived, row.ended, row.missed) for row in rows], dtype=np.int64)
    if used < world.bins:
        after = objects(Bin, state.bins[s * world.bins + used : s * world.bins + used + 1])[0]
        ends[-1] += (after.arrived, after.ended, after.missed)
    demand = np.array([row.demand for row in rows])
    held = np.array([row.held for row in rows])
    demand[running] += service.bin_demand
    held[running] += service.bin_held
    return Timeline(
        width=width,
        demand=demand / seconds,
        held=held / seconds,
        wanted=np.array([row.wanted for row in rows]) / seconds,
        starting=np.array([row.starting for row in rows]) / seconds,
        ready=np.array([row.ready for row in rows]) / seconds,
        draining=np.array([row.draining for row in rows]) / seconds,
        arrived=ends[:, 0],
        ended=ends[:, 1],
        missed=ends[:, 2],
    )
