"""The cluster that `pilotlight simulate` runs in: GPUs without end, so many on one node, or nodes that come and go."""

from __future__ import annotations

import argparse
from dataclasses import replace

from pilotlight import arguments
from pilotlight.errors import CommandError
from simulations.figures import seconds_shown
from simulations.scenario import ClusterSpec
from simulations.traces.notation import seconds
from simulations.traces.trace import TraceError

_USUAL = ClusterSpec()


def add_nodes(group: argparse._ArgumentGroup) -> None:
    """Of nodes, and what replicas share there."""
    group.add_argument(
        "--node-gpus", type=arguments.whole(1, 1024), metavar="N",
        help="of each node; where no node has room another is made, which takes the profile's time (one that has all)",
    )  # fmt: skip
    group.add_argument(
        "--nodes", type=arguments.whole(0, 10_000), default=1, metavar="N", help="that always stay (%(default)s)"
    )
    group.add_argument("--most-nodes", type=arguments.whole(1, 10_000), metavar="N", help="with those made (--nodes)")
    group.add_argument(
        "--node-idle", type=time_given, default=_USUAL.node_idle_seconds, metavar="TIME",
        help="a made node without a replica goes after so long (%(default)g s)",
    )  # fmt: skip
    group.add_argument(
        "--cold-caches", action="store_true", help="no node has images or weights at first (the first nodes have all)"
    )
    for what in ("image", "weight"):
        group.add_argument(
            f"--{what}-streams", type=arguments.between(0.1, 10_000, "a number"), default=0.0, metavar="N",
            help=f"so many transfers of {what}s go at full speed together, more share that (any number)",
        )  # fmt: skip


def cluster_of(given: argparse.Namespace) -> ClusterSpec:
    """Raises CommandError for what contradicts itself."""
    if given.gpus is not None and given.node_gpus is not None:
        raise CommandError("--gpus says how many there are on one node: with --node-gpus give --nodes and --most-nodes")
    if given.node_gpus is None and (given.most_nodes is not None or given.nodes != 1):
        raise CommandError("--nodes and --most-nodes need --node-gpus, the GPUs of one")
    most = given.nodes if given.most_nodes is None else given.most_nodes
    if most < max(1, given.nodes):
        raise CommandError(f"--most-nodes {most}: at least 1, and no fewer than --nodes, which is {given.nodes}")
    shared = replace(
        _USUAL,
        node_idle_seconds=given.node_idle,
        caches_warm=not given.cold_caches,
        image_streams=given.image_streams,
        weight_streams=given.weight_streams,
    )
    if given.node_gpus is not None:
        return replace(shared, gpus_per_node=given.node_gpus, nodes=given.nodes, most_nodes=most)
    return shared if given.gpus is None else replace(shared, gpus_per_node=given.gpus)


def cluster_said(cluster: ClusterSpec) -> str:
    """How many GPUs there are, and on what nodes."""
    most = max(cluster.nodes, cluster.most_nodes)
    if not cluster.gpus_per_node:
        said = "any number"
    elif most == 1:
        said = f"{cluster.gpus_per_node} in all"
    elif most == cluster.nodes:
        said = f"{most} nodes of {cluster.gpus_per_node}"
    else:
        made = f"made when there is no room, gone after {seconds_shown(cluster.node_idle_seconds)}"
        said = f"{cluster.nodes} to {most} nodes of {cluster.gpus_per_node}, {made}"
    return said


def shared_said(cluster: ClusterSpec) -> str:
    """What is said of images and weights where anything is; "" where all nodes have them and nothing is shared."""
    said = [] if cluster.caches_warm else ["on no node at first"]
    for streams, what in ((cluster.image_streams, "images"), (cluster.weight_streams, "weights")):
        if streams:
            said.append(f"{streams:g} transfers of {what} at full speed together")
    return ", ".join(said)


def time_given(text: str) -> float:
    """A time as arguments take it, in seconds."""
    try:
        return seconds(text)
    except TraceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
