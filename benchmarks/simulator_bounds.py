"""The clairvoyant bounds on real traces, beside figures that were worked out independently, and how long they take.

    python -m benchmarks.simulator_bounds TRACES_DIR

TRACES_DIR holds converted public traces by their usual names (alibaba_genai_multimodel_*.requests.csv.gz,
azure_llm_2023_conv.requests.csv.gz); one that is missing is left out, and said.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np

from simulations.bounds.no_waiting import NOTHING, always_on, clairvoyant, demand_of_requests, gpu_hours, keep_alive
from simulations.bounds.waiting import frontier, waiting_bound, work_of_requests
from simulations.traces.opening import open_trace
from simulations.traces.trace import Requests, Trace, concatenated

SPARSE = "alibaba_genai_multimodel_d01-16.requests.csv.gz"
CONVERSATION = "azure_llm_2023_conv.requests.csv.gz"
PUBLISHED = {30.0: 205, 90.0: 336}
# An illustrative service time: 0.35 ms a prompt token and 20 ms an output token, 8 requests a replica.
PREFILL, TOKEN, SLOTS = 0.00035, 0.02, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=Path, metavar="TRACES_DIR")
    directory: Path = parser.parse_args().traces
    for name, shown in ((SPARSE, sparse), (CONVERSATION, conversation)):
        if (directory / name).exists():
            trace = open_trace(directory / name).trace
            shown(trace, concatenated(list(trace.chunks())))
        else:
            print(f"{name}: not there")


def sparse(trace: Trace, rows: Requests) -> None:
    """Many models, each request a whole replica: the optimum against fixed keep-alive."""
    print(f"{trace.name}: {len(trace.services)} models, {len(rows)} requests, GPU-hours")
    demands = []
    for service in range(len(trace.services)):
        own = rows.service == service
        demands.append(demand_of_requests(rows.arrival[own], rows.seconds[own]))
    for start, published in PUBLISHED.items():
        began = perf_counter()
        best = sum((clairvoyant(demand, start) for demand in demands), NOTHING)
        took = perf_counter() - began
        hours = gpu_hours(best.replica_seconds)
        print(f"  L = {start:g} s: clairvoyant {hours:.1f} (worked out elsewhere: {published}), {best.starts} starts, "
              f"{took * 1000:.0f} ms")  # fmt: skip
        for keep in (start, 60.0, 300.0, 600.0, 1800.0):
            kept = [keep_alive(demand, start, keep) for demand in demands]
            total = sum((bound for bound, _ in kept), NOTHING)
            print(f"    keep {keep:>5g} s: {gpu_hours(total.replica_seconds):8.1f}, "
                  f"{total.starts / len(rows):6.1%} of requests start a replica")  # fmt: skip


def conversation(trace: Trace, rows: Requests) -> None:
    """One language model: without waiting, with waiting, and the frontier by the price of a dropped request."""
    seconds = PREFILL * rows.input_tokens + TOKEN * rows.output_tokens
    demand = demand_of_requests(rows.arrival, seconds, SLOTS)
    print(f"{trace.name}: {len(rows)} requests, {SLOTS} a replica, mean service {seconds.mean():.2f} s, GPU-hours")
    print(f"  peak static {gpu_hours(always_on(demand, trace.span)):.2f}")
    for start in (30.0, 300.0):
        best = clairvoyant(demand, start).replica_seconds
        ski = keep_alive(demand, start, start)[0].replica_seconds
        print(f"  L = {start:g} s, no waiting: clairvoyant {gpu_hours(best):.2f}, ski rental {gpu_hours(ski):.2f}")
    for width, wait in ((2.0, 0.0), (2.0, 10.0), (5.0, 30.0)):
        began = perf_counter()
        work = work_of_requests(
            trace.name, rows.arrival, seconds, width, trace.span, slots=SLOTS, start_seconds=30.0, wait_seconds=wait
        )
        bound = waiting_bound([work], width)
        took = perf_counter() - began
        print(
            f"  L = 30 s, wait up to {wait:g} s, bins of {width:g} s: {gpu_hours(bound.gpu_seconds):.2f} ({took:.2f} s)"
        )
    work = work_of_requests(trace.name, rows.arrival, seconds, 2.0, trace.span, slots=SLOTS, start_seconds=30.0)
    for point in frontier([work], 2.0, list(np.geomspace(0.3, 60.0, 12))):
        print(f"    attainment {point.attainment:.4f}: {gpu_hours(point.gpu_seconds):.2f}")


if __name__ == "__main__":
    main()
