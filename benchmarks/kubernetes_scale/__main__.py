"""`python -m benchmarks.kubernetes_scale`: a thousand services through a real API server, then how cost grows.

Needs what tests/cluster needs, and Go. Ends with 0 when every aim is met, with 1 when one is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from autoscaler.decide import decider
from benchmarks.kubernetes_page import PAGE, Surroundings, write_section
from benchmarks.kubernetes_scale import growth, live
from benchmarks.kubernetes_scale.report import section, verdicts
from tests.cluster import tools
from tests.cluster.cluster import Cluster

_GRACE = 300.0


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.services and (why := tools.missing()):
        sys.stderr.write(f"benchmarks.kubernetes_scale: {why}\n")
        return 2
    surroundings = Surroundings()
    measured = None
    if options.services:
        os.environ.setdefault("PILOTLIGHT_CLUSTER_NAME", "benchscale")
        with Cluster.up(nodes=1, grace=_GRACE) as cluster:
            measured = live.measure(cluster, options.services, options.seconds, options.passes)
    grown = []
    for services in options.growth:
        grown.append(growth.measure(services))
        print(grown[-1], flush=True)
    compiled = Path(decider.__file__).suffix != ".py"
    how = "compiled, as in the image" if compiled else "interpreted, which the image is not"
    text = section(measured, grown, f"{surroundings.text()} What decides was {how}.")
    print(text)
    if options.write:
        write_section(options.write, "scale", text)
    return 0 if measured is None or all(verdict.met for verdict in verdicts(measured)) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--services", type=int, default=1_000, help="through the API server; 0: none (%(default)s)")
    add("--seconds", type=float, default=30.0, help="of rest that are measured (%(default)s)")
    add("--passes", type=int, default=20, help="decision passes that are measured (%(default)s)")
    add("--growth", type=int, nargs="*", default=[1_000, 5_000, 10_000], help="without an API server (%(default)s)")
    add("--write", type=Path, nargs="?", const=PAGE, metavar="FILE", help="write the page's section (docs/)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
