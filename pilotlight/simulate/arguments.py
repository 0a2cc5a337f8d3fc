"""The arguments of `pilotlight simulate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pilotlight import arguments
from pilotlight.simulate.cluster import add_nodes, time_given
from pilotlight.start_arguments import add_start_arguments
from pilotlight.trace_arguments import TRACE_HELP, add_trace_arguments
from simulations.contender import OWN
from simulations.model_notation import KINDS
from simulations.policies.registry import POLICIES
from simulations.profiles.prices import PRICES
from simulations.scenario import MOST_RECLAIMS
from simulations.sweep import AXES

_EPILOG = f"""\
{TRACE_HELP}
examples:
  pilotlight simulate trace.csv.gz -f isvc.yaml                   your policy on your trace
  pilotlight simulate trace.csv.gz --policy kpa --policy hpa --policy pilotlight --report out.html
  pilotlight simulate --from-recording run.jsonl --set target-concurrency=4
  pilotlight simulate trace.csv.gz --sweep startup=0.25..4 --seeds 10

policies: {OWN}, {", ".join(POLICIES)}; NAME or NAME:KEY=VALUE,…
sweeps: {", ".join(AXES)}; AXIS=LEAST..MOST, AXIS=LEAST..MOST/COUNT or AXIS=VALUE,VALUE,…
"""


def add_simulate(parser: argparse.ArgumentParser) -> None:
    """Everything that the command takes."""
    parser.description = (
        "What a policy would have cost and how its users would have fared, by the deployed decision code."
    )
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_trace_arguments(parser, several=True)
    parser.add_argument(
        "--from-recording",
        type=Path,
        metavar="FILE",
        help="what `up --record FILE` wrote: its arrivals and its policies",
    )
    _policies(parser.add_argument_group("policies"))
    _serving(parser.add_argument_group("serving"))
    _cluster(parser.add_argument_group("cluster, clients and metrics"))
    add_nodes(parser.add_argument_group("nodes"))
    _running(parser.add_argument_group("experiment"))
    _outputs(parser.add_argument_group("outputs"))


def _policies(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-f", "--file", dest="files", type=Path, nargs="+", action="extend", default=[], metavar="FILE",
        help="InferenceServices: policy, limits and GPUs; services of the trace are found by name",
    )  # fmt: skip
    group.add_argument(
        "--policy", action="append", default=[], metavar="POLICY",
        help=f"may be given several times ({OWN}, kpa and peak; of a recording the recorded policy and {OWN})",
    )  # fmt: skip
    group.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
        help=f"a key of docs/policy.md for {OWN}, without its domain; may be given several times",
    )  # fmt: skip


def _serving(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model", metavar="MODEL", help=f"how long a request takes: {', '.join(KINDS)} (by what the trace records)"
    )
    group.add_argument(
        "--limit", type=arguments.whole(0, 1_000_000), metavar="N",
        help="requests of one replica at a time, 0: any number (containerConcurrency of -f, slots of the model, or 1)",
    )  # fmt: skip
    add_start_arguments(group, 0.001)
    group.add_argument(
        "--slo", metavar="latency=TIME,ttft=TIME",
        help="when a request is good (by the model: five mean durations, or ttft=2s of a language model)",
    )  # fmt: skip


def _cluster(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--gpus", type=arguments.whole(1, 1_000_000), metavar="N", help="that there are (any number)")
    group.add_argument(
        "--gpus-per-replica", type=arguments.whole(1, 1024), metavar="N", help="whole GPUs (what -f says, or 1)"
    )
    group.add_argument(
        "--gpu-type", metavar="NAME", help=f"for its price: {', '.join(PRICES)} (the profile's, or H100)"
    )
    group.add_argument(
        "--price", action="append", default=[], metavar="[GPU=]USD", help="an hour of a GPU; overrides the built-in one"
    )
    group.add_argument("--client-timeout", type=time_given, default=0.0, metavar="TIME", help="clients give up (never)")
    group.add_argument(
        "--retries", type=arguments.whole(0, 100), default=0, metavar="N",
        help="and try again, when Retry-After says where they are refused (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--ignore-retry-after", action="store_true",
        help="who is refused tries again after 1 s, and then after twice as long each time, whatever the answer says",
    )  # fmt: skip
    group.add_argument(
        "--no-abort-on-disconnect", action="store_true",
        help="engines finish for nobody what clients have given up (an engine stops working on it)",
    )  # fmt: skip
    group.add_argument(
        "--metric-delay", type=time_given, default=0.5, metavar="TIME", help="age of metrics (%(default)s s)"
    )
    group.add_argument(
        "--metric-loss", type=arguments.between(0, 0.99, "a share"), default=0.0, metavar="P",
        help="share of readings that are lost, of each replica by itself (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--failed-starts", type=arguments.between(0, 0.99, "a share"), default=0.0, metavar="P",
        help="share of starts that fail (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--drain-time", type=time_given, default=0.0, metavar="TIME",
        help="a replica that is to go is killed after so long, with what it still has (never)",
    )  # fmt: skip
    group.add_argument(
        "--stop-time", type=time_given, default=0.0, metavar="TIME",
        help="so long a process that has nothing left takes to end, and holds its GPUs (%(default)g s)",
    )  # fmt: skip
    group.add_argument(
        "--reclaims", type=arguments.between(0, MOST_RECLAIMS, "a number"), default=0.0, metavar="N",
        help="times an hour that a replica's node is taken back, as spot nodes are (never)",
    )  # fmt: skip
    group.add_argument(
        "--reclaim-notice", type=time_given, default=30.0, metavar="TIME",
        help="between being told and being gone; what is not finished then fails (%(default)g s)",
    )  # fmt: skip


def _running(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--seeds", type=arguments.whole(1, 10_000), metavar="N",
        help="runs that draw starts and durations differently (10; 1 for 12 hours or more: hours are resampled)",
    )  # fmt: skip
    group.add_argument("--seed", type=arguments.whole(0, 2**31), default=1, metavar="N", help="the first (%(default)s)")
    group.add_argument(
        "--warm-up", type=time_given, metavar="TIME", help="not counted (a tenth of the trace, at most 10 minutes)"
    )
    group.add_argument("--sweep", action="append", default=[], metavar="AXIS=…", help="may be given several times")
    group.add_argument(
        "--workers", type=arguments.whole(1, 256), metavar="N", help="processes (as many as there are processors)"
    )


def _outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--report", type=Path, metavar="FILE", help="one HTML page that stands alone")
    group.add_argument("--json", type=Path, metavar="FILE", help="everything; - is stdout, and nothing else goes there")
    group.add_argument("--csv", type=Path, metavar="FILE", help="one figure a row; - is stdout")
