"""How near the simulator comes to the real thing: one load through `pilotlight up` and through the simulator.

    python -m benchmarks.simulator_fidelity_local [--seeds N] [--steady SECONDS]

What a simulation has to be told is taken from the run itself: when each request was sent, by which policy was decided,
in which part of a second that was and activators pushed, how long each start and each stop took and how long a request
was worked on. What is compared is what follows from that: how long requests took, how many of them waited for a wake,
and what replicas cost. Exit status 1 where that is further off than the aims; a machine with other work may not meet
them, because a simulation is not told of that.

A step is decided by milliseconds now and then, which nobody can know. So it is simulated several times, with all that
was measured to be some milliseconds sooner or later, and the mean is compared.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.simulator_fidelity_real_run import LIMIT, SERVICE, Measured, RealRun, run_for_real
from simulations.policies.pilotlight import pilotlight
from simulations.run import Run, simulate
from simulations.scenario import DrawnSeconds, MetricsPath, Scenario, ServiceSpec, Shape, StartDraws
from simulations.traces.trace import Requests

# One turn more or less is two seconds of up to three replicas: the load has to last for what replicas cost to be about
# more than that.
_STEADY_SECONDS = 30.0
_UNCERTAIN_SECONDS = 0.02


def simulated(real: RealRun, seeds: Sequence[int]) -> list[Measured]:
    """The same load in the simulator, once for each seed. The first one takes all times as they were measured."""
    return [_simulated(real, seed, 0.0 if seed == seeds[0] else _UNCERTAIN_SECONDS) for seed in seeds]


def _simulated(real: RealRun, seed: int, uncertain: float) -> Measured:
    random = np.random.default_rng(seed)

    def about(at: float) -> float:
        return at + random.uniform(-uncertain, uncertain)

    start = StartDraws(
        "as measured", schedule=np.array([real.order_seconds]), engine=np.array(real.starts), in_order=True
    )
    model = DrawnSeconds(real.service_seconds, Shape.CONSTANT, 0.0)
    spec = ServiceSpec(SERVICE, model, start, limit=LIMIT, stop_seconds=real.stop_seconds)
    path = MetricsPath(delay=0.0, scrape_at=None, push_at=about(real.push_at) % 1.0)
    run = simulate(
        Scenario((spec,), seed=seed, metrics=path),
        Sent(tuple(sorted(map(about, real.sent))), real.end),
        pilotlight(real.policy),
        first_turn=max(0.0, about(real.first_turn)),
        keep_latencies=len(real.sent),
        compiled=False,
    )
    return _measured(run)


@dataclass(frozen=True, slots=True)
class Sent:
    """A trace of what was sent."""

    at: tuple[float, ...]
    span: float

    def chunks(self) -> Iterator[Requests]:
        """See Trace."""
        count = len(self.at)
        unknown = np.full(count, -1, np.int32)
        yield Requests(np.array(self.at), np.zeros(count, np.int32), unknown, unknown, np.full(count, math.nan))


def _measured(run: Run) -> Measured:
    service = run.results.services[0]
    assert run.latencies is not None
    return Measured(tuple(run.latencies.tolist()), sum(service.gpu_seconds.values()), service.cold)


def main() -> int:
    """Run both and print them side by side; 1 when an aim is missed."""
    parser = argparse.ArgumentParser(description="The same load for real and simulated.")
    parser.add_argument("--seeds", type=int, default=10, help="runs of the simulator (%(default)s)")
    parser.add_argument("--steady", type=float, default=_STEADY_SECONDS, help="seconds of steady load (%(default)s)")
    given = parser.parse_args()
    seeds = range(given.seeds)
    with tempfile.TemporaryDirectory(prefix="pilotlight-fidelity-") as name:
        real = run_for_real(Path(name), given.steady)
        runs = simulated(real, seeds)
    print(f"{len(real.sent)} requests, starts of {', '.join(f'{seconds:.2f}' for seconds in real.starts)} s")
    print(f"a request is worked on for {real.service_seconds:.3f} s; an order takes {real.order_seconds * 1e3:.0f} ms")
    print(f"an idle replica is gone {real.stop_seconds:.2f} s after it is not wanted")
    print(f"{'':20}{'real':>10}{'simulated':>12}{'difference':>12}{'aim':>8}")
    missed = 0
    for title, figure, aim in (
        ("p50, s", "p50", 0.10),
        ("p95, s", "p95", 0.10),
        ("replica-seconds", "replica_seconds", 0.10),
        ("waited for a wake", "cold", 0.05),
    ):
        ours, theirs = statistics.mean(getattr(run, figure) for run in runs), getattr(real.measured, figure)
        off = ours / theirs - 1.0
        missed += abs(off) > aim
        print(f"{title:20}{theirs:10.3f}{ours:12.3f}{off:+12.1%}{aim:8.0%}{'  MISSED' if abs(off) > aim else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
