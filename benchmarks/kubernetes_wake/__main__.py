"""`python -m benchmarks.kubernetes_wake`: wake Pilotlight's and Knative's services in one cluster, by turns.

Needs what tests/cluster needs, and Go. Takes about six minutes besides what is built once. Ends with 0 when every aim
is met, with 1 when one is missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.kubernetes_page import PAGE, Surroundings, write_section
from benchmarks.kubernetes_wake.knative import Knative, knative_images
from benchmarks.kubernetes_wake.measure import REQUESTS, Bench, MeasureError
from benchmarks.kubernetes_wake.model import model_image
from benchmarks.kubernetes_wake.phases import Phase
from benchmarks.kubernetes_wake.pilotlight import Pilotlight
from benchmarks.kubernetes_wake.report import Measured, judged, section
from benchmarks.kubernetes_wake.system import Load, System
from tests.cluster import tools
from tests.cluster.cluster import Cluster
from tests.cluster.product_image import product_image

# Several services of a kind, so that one can be woken while the others go to sleep.
_SERVICES = 4
# The second is measured half as often: it says where a bound lies that no real model comes near.
_KINDS = {"loads for two seconds": ("slow", 2.0, 1.0), "listens at once": ("quick", 0.0, 0.5)}
_WORK_SECONDS = 0.05
_REPLICAS = 5
_BURST_SERVICES = 2


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    options = _parser().parse_args(arguments)
    if why := tools.missing():
        sys.stderr.write(f"benchmarks.kubernetes_wake: {why}\n")
        return 2
    os.environ.setdefault("PILOTLIGHT_CLUSTER_NAME", "benchwake")
    with Cluster.up(nodes=2, images=[product_image(), model_image(), *knative_images()]) as cluster:
        systems: tuple[System, ...] = (Knative(cluster), Pilotlight(cluster))
        for system in systems:
            system.install()
            system.apply(_loads())
            print(f"{system.name} is installed", flush=True)
        surroundings = Surroundings()
        measured = Measured()
        try:
            _measure(measured, Bench(cluster), systems, options.wakes, options.bursts)
        except KeyboardInterrupt:
            measured.failures.append("it was told to end before all was measured")
    text = section(measured, surroundings.text(), REQUESTS)
    print(text)
    if options.write:
        write_section(options.write, "wake", text)
    met = all(verdict.met for each in judged(measured).values() for verdict in each)
    return 0 if met and not measured.failures else 1


def _loads() -> tuple[Load, ...]:
    woken = [
        Load(f"{short}-{number}", seconds, _WORK_SECONDS, _REPLICAS)
        for short, seconds, _ in _KINDS.values()
        for number in range(_SERVICES)
    ]
    return (*woken, *(Load(f"burst-{number}", 0.0, _WORK_SECONDS, _REPLICAS) for number in range(_BURST_SERVICES)))


def _measure(measured: Measured, bench: Bench, systems: Sequence[System], wakes: int, bursts: int) -> None:
    for number in range(wakes):
        for kind, (short, _, share) in _KINDS.items():
            if number >= wakes * share:
                continue
            for system in systems:
                name = f"{short}-{number % _SERVICES}"
                try:
                    bench.until_asleep(system, [name])
                    wake = bench.wake(system, name)
                except MeasureError as error:
                    measured.failures.append(str(error))
                    print(f"FAILED {error}", flush=True)
                    continue
                measured.add_wake(kind, system.name, wake)
                phases = wake.phases()
                told = ", ".join(f"{phase.name.lower()} {1e3 * phases[phase]:.0f}" for phase in Phase)
                print(f"wake {number + 1} {system.name} {kind}: {told} ms", flush=True)
    for number in range(bursts):
        for system in systems:
            name = f"burst-{number % _BURST_SERVICES}"
            bench.until_asleep(system, [name])
            try:
                burst = bench.burst(system, name)
            except MeasureError as error:
                measured.failures.append(str(error))
                print(f"FAILED {error}", flush=True)
                continue
            measured.add_burst(system.name, burst)
            print(f"burst {number + 1} {system.name}: {burst}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wakes", type=int, default=20, help="of each system, with a model that loads (%(default)s)")
    parser.add_argument("--bursts", type=int, default=5, help="of each system (%(default)s)")
    parser.add_argument(
        "--write", type=Path, nargs="?", const=PAGE, metavar="FILE", help="write the page's section (docs/)"
    )
    return parser


if __name__ == "__main__":
    # What was measured until then is shown, and the cluster taken down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
