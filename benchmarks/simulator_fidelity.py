"""How near the simulator comes to a real cluster: AIBrix's autoscaling runs, one number fitted, the others predicted.

    python -m benchmarks.simulator_fidelity DIR [RUN…] [--start SECONDS]

DIR has `*.measured_requests.csv.gz` and, beside them, `*.pods.csv.gz`; a run's name ends in its autoscaler: kpa, apa,
hpa, optimizer-kpa. RUN limits what is predicted to those whose names contain it. The start-up time is fitted on the
first run of kpa, unless it is given. What each line says: measured → simulated, and by how much that is off.

Latencies are compared over the requests that completed on the cluster. The mean of all that complete is printed beside
it and has no aim: the cluster's gateway broke off half of the longest answers, which a simulation completes (see
simulations.fidelity.aibrix).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from simulations.fidelity.aibrix import (
    FidelityError,
    Outcomes,
    autoscaler_of,
    fitted_start,
    measured,
    predict,
    tokens_of,
)
from simulations.traces.measured_run import MeasuredRun, read_measured_run
from simulations.traces.trace import TraceError

MEAN_AIM, GPU_AIM = 0.20, 0.10
NOT_PREDICTED = "optimizer-kpa"


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all aims are met; 1: some are not; 2: the runs cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator_fidelity", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--start", type=float, help="start-up time in seconds; without it, fitted on kpa")
    given = parser.parse_args(arguments)
    try:
        runs = read_runs(given.directory)
        return report(
            runs, [run for run in runs if not given.runs or any(n in run.name for n in given.runs)], given.start
        )
    except (TraceError, FidelityError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def read_runs(directory: Path) -> list[MeasuredRun]:
    """All of a folder, in the order of their names. Raises TraceError."""
    files = sorted(directory.glob("*.measured_requests.csv*"))
    if not files:
        raise TraceError(f"{directory}: there is no *.measured_requests.csv or .csv.gz")
    return [read_measured_run(file) for file in files]


def report(runs: Sequence[MeasuredRun], wanted: Sequence[MeasuredRun], start: float | None) -> int:
    """Print it; 1 when an aim is missed. Raises FidelityError."""
    tokens = tokens_of(runs)
    if start is None:
        fitted_on = next((run for run in runs if autoscaler_of(run) == "kpa"), None)
        if fitted_on is None:
            raise FidelityError("there is no run of kpa to fit the start-up time on: say it (--start)")
        start = fitted_start(fitted_on, tokens)
        _say(f"start-up time: {start:.0f} s, fitted on {fitted_on.name} alone; its readiness probe begins at 90 s")
    missed, means = 0, []
    for run in wanted:
        replay = autoscaler_of(run) == NOT_PREDICTED
        real, ours = measured(run), predict(run, tokens, start, replay=replay)
        missed += _line(run.name, real, ours, replay=replay)
        means.append((real.mean, ours.mean_of_completed))
    kept = all(before[1] < after[1] for before, after in pairwise(sorted(means)))
    _say(f"order of mean latency: {'as measured' if kept else 'NOT as measured'}")
    return 0 if kept and not missed else 1


def _line(name: str, real: Outcomes, ours: Outcomes, *, replay: bool) -> int:
    mean = ours.mean_of_completed / real.mean - 1.0
    gpu = ours.gpu_hours / real.gpu_hours - 1.0
    _say(f"{name}{' (its pods replayed: what the optimizer decides by is not published)' if replay else ''}")
    _say(f"  mean latency  {real.mean:7.2f} → {ours.mean_of_completed:7.2f} s  {_off(mean, MEAN_AIM)}")
    _say(f"  GPU-hours     {real.gpu_hours:7.3f} → {ours.gpu_hours:7.3f}    {_off(gpu, GPU_AIM)}")
    _say(f"  p50 {real.p50:.2f} → {ours.p50:.2f} s, p95 {real.p95:.1f} → {ours.p95:.1f} s")
    _say(f"  completed {real.completed} → {ours.completed}, failed or unfinished {real.failed} → {ours.failed}")
    _say(f"  mean of all that complete {real.mean:.2f} → {ours.mean:.2f} s, with answers that the gateway broke off")
    return (abs(mean) > MEAN_AIM) + (abs(gpu) > GPU_AIM)


def _off(error: float, aim: float) -> str:
    return f"{error:+6.1%}  {'' if abs(error) <= aim else 'NOT '}within {aim:.0%}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
