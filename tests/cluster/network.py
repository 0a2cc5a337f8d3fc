"""The nodes' network: one network namespace each, on one segment, with the pods of each node routed to it.

Addresses are those that RFC 2544 sets apart for tests, and no route leaves the namespaces: what runs in the cluster
reaches nothing outside it. Node 1 has the segment's bridge, to which a pair of interfaces connects each other node.
"""

import subprocess
from pathlib import Path

from tests.cluster.processes import spawn, wait_until

SERVICES = "198.19.0.0/16"
PODS = "198.18.0.0/16"
MOST_NODES = 8


def address(node: int) -> str:
    return f"198.18.0.{node}"


def pods(node: int) -> str:
    """The addresses of the pods of `node`; 198.18.0.0/20 is the nodes' own."""
    return f"198.18.{node * 16}.0/20"


class Network:
    """The network of one node, kept by a process that only sleeps; when that ends, the network is gone."""

    def __init__(self, run: Path, node: int) -> None:
        self.node = node
        self._run = run
        self._keeper = spawn(run, ["unshare", "--net", "sleep", "infinity"], run / f"network-{node}.log")
        outside = Path("/proc/thread-self/ns/net").readlink()
        wait_until(lambda: self.path.readlink() != outside, f"the network of node {node}", timeout=5)
        (run / f"network-{node}.pid").write_text(f"{self._keeper.pid}\n")

    @property
    def path(self) -> Path:
        """The namespace, for setns and nsenter."""
        return Path(f"/proc/{self._keeper.pid}/ns/net")

    def join(self, others: list["Network"]) -> None:
        """Connect to `others`, of which the first is node 1's; for node 1 itself they are none."""
        link = ["link add node0 type bridge"]
        if others:
            self._remove_from(others[0])
            others[0]._ip(
                f"link add node{self.node} type veth peer name node0 netns {self._keeper.pid}",
                f"link set node{self.node} master node0 up",
            )
            link = []
        self._ip(
            "link set lo up",
            *link,
            "link set node0 up",
            f"addr add {address(self.node)}/24 dev node0",
            "route add default dev node0",  # without one the kernel refuses to send to a Service's address
            *(f"route add {pods(other.node)} via {address(other.node)}" for other in others),
        )
        self.call("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        for other in others:
            other._ip(f"route replace {pods(self.node)} via {address(self.node)}")

    def end(self) -> None:
        self._keeper.kill()
        self._keeper.wait()

    def enter(self, *argv: str) -> list[str]:
        """The command that runs `argv` in this network."""
        return ["nsenter", f"--net={self.path}", *argv]

    def call(self, *argv: str, stdin: str = "") -> None:
        subprocess.run(self.enter(*argv), input=stdin, text=True, check=True)

    def _ip(self, *commands: str) -> None:
        self.call("ip", "-batch", "-", stdin="\n".join(commands))

    def _remove_from(self, first: "Network") -> None:
        """Take away what a dead network of the same node has left: its end of the link outlives it for a moment."""
        remove = first.enter("ip", "link", "del", f"node{self.node}")
        subprocess.run(remove, check=False, capture_output=True)
