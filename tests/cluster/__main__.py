"""A cluster for a person: `python -m tests.cluster up`, which is `make cluster`; and what it is made of, beforehand."""

import argparse
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster import tools
from tests.cluster.cluster import Cluster
from tests.cluster.inference_server_image import inference_server_image
from tests.cluster.lifetime import run_directory
from tests.cluster.processes import ClusterError
from tests.cluster.product_image import IMAGE, product_image
from tests.cluster.tools import Module, ToolError, binaries
from tests.kubernetes import kserve_side


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring a cluster up, until Ctrl-C")
    up.add_argument("--nodes", type=int, default=2)
    commands.add_parser("prepare", help="compile and fetch what clusters are made of; or say what is missing")
    run = commands.add_parser("in", help="run a command in a node's network: in 1 curl …; without one, a shell")
    run.add_argument("node", type=int)
    run.add_argument("argv", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    os.environ.setdefault("PILOTLIGHT_CLUSTER_NAME", "make")  # so that it and the tests are in nobody's way
    try:
        match arguments.command:
            case "up":
                return _up(arguments.nodes)
            case "prepare":
                return _prepare()
            case _:
                return _in(arguments.node, arguments.argv)
    except (ClusterError, ToolError) as error:
        print(error, file=sys.stderr)
        return 1


def _up(nodes: int) -> int:
    if why := tools.missing():
        print(why, file=sys.stderr)
        return 1
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    image = product_image()
    began = time.monotonic()
    with Cluster.up(nodes, images=[image]) as cluster:
        kserve_side.install(cluster)
        print(f"up after {time.monotonic() - began:.1f} s, with {nodes} nodes and the image {IMAGE}")
        print(f"  export KUBECONFIG={cluster.kubeconfig} PATH=$PATH:{binaries(Module.KUBERNETES)}")
        print("  a shell in its network, where addresses and names of pods and Services work:")
        print(f"    cd {Path.cwd()} && {sys.executable} -m tests.cluster in 1")
        print("Ctrl-C ends it", flush=True)
        ended.wait()
    return 0


def _prepare() -> int:
    """Make what `make test` needs of a cluster; what others need is made when they ask. Not being able to is no error:
    the tests say so too."""
    if why := tools.missing():
        print(f"tests/kubernetes will be skipped: {why}", file=sys.stderr)
        return 0
    # Side by side: the compiler's packages wait for one another, and most of an image is the work of one process.
    with ThreadPoolExecutor() as builders:
        for made in [
            builders.submit(binaries, Module.KUBERNETES),
            builders.submit(product_image),
            builders.submit(inference_server_image),
        ]:
            made.result()
    return 0


def _in(node: int, argv: list[str]) -> int:
    keeper = run_directory() / f"network-{node}.pid"
    if not keeper.exists():
        raise ClusterError(f"no node {node}: no cluster is up, or it has fewer nodes")
    bind = f'mount --bind {run_directory()}/resolv.conf /etc/resolv.conf; exec "$@"'
    enter = [
        "nsenter",
        f"--net=/proc/{keeper.read_text().strip()}/ns/net",
        "unshare",
        "--mount",
        "sh",
        "-e",
        "-c",
        bind,
    ]
    os.execvp("nsenter", [*enter, "sh", *(argv or [os.environ.get("SHELL", "/bin/sh")])])


if __name__ == "__main__":
    sys.exit(main())
