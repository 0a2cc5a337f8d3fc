"""A real Kubernetes cluster on this machine, in some seconds: what the tests of tests/kubernetes act on."""

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.cluster import control_plane
from tests.cluster.audit import AuditLog
from tests.cluster.configuration import kubeconfig, write_kubeconfig
from tests.cluster.control_plane import ControlPlane
from tests.cluster.disk import disk_with
from tests.cluster.images import pause_image
from tests.cluster.inside import inside
from tests.cluster.lifetime import Lifetime
from tests.cluster.network import MOST_NODES, Network
from tests.cluster.node import Node
from tests.cluster.processes import ClusterError, marked, wait_until
from tests.cluster.tools import Module, binaries

Component = Literal[
    "etcd", "apiserver", "controller-manager", "scheduler", "coredns", "containerd", "kubelet", "kube-proxy"
]


class Cluster:
    """A cluster that is up. `with Cluster.up(nodes=2) as cluster:` takes it down again; so does the death of the run.

    Every method blocks; all raise ClusterError, with the end of the log that knows why.
    """

    def __init__(self, nodes: int, grace: float, api_server_flags: Sequence[str], patience: float) -> None:
        self._lifetime = Lifetime(patience)
        self.run = self._lifetime.run
        self.audit = AuditLog(self.run / "audit.log")
        self._disk = Path()
        self._nodes: dict[int, Node] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            first = Network(self.run, 1)
            first.join([])
            self._control_plane = ControlPlane(self.run, first, grace)
            self._control_plane.start("etcd")
            self._control_plane.start("apiserver", api_server_flags)
            for number in range(1, nodes + 1):
                self._nodes[number] = Node(self.run, first if number == 1 else self._new_network(number))
        except BaseException:
            self._lifetime.end()
            raise

    @classmethod
    def up(
        cls,
        nodes: int = 2,
        images: Sequence[Path] = (),
        grace: float = 8.0,
        api_server_flags: Sequence[str] = (),
        patience: float = 15,
    ) -> "Cluster":
        """Bring up a cluster, with all nodes Ready and `images` (docker-archives) on each.

        `grace`: seconds for which a silent node counts as alive; long ones suit runs with thousands of fake nodes.
        `api_server_flags` are added to the API server's own. `patience`: seconds to wait while another run's cluster
        is up; one at a time can be.
        """
        if not 1 <= nodes <= MOST_NODES:
            raise ClusterError(f"nodes: {nodes}; allowed are 1 to {MOST_NODES}")
        pause = pause_image()
        binaries(Module.KUBERNETES)
        cluster = cls(nodes, grace, api_server_flags, patience)
        try:
            cluster._start([pause, *images])
        except BaseException:
            cluster.down()
            raise
        return cluster

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def down(self) -> None:
        """End everything; nothing is left, neither processes nor mounts, cgroups, networks or files."""
        self._lifetime.end()
        self._control_plane.reap()
        for machine in self._nodes.values():
            machine.reap()
            machine.network.end()
        for process in self._processes:
            process.wait(timeout=10)

    # ── Looking and acting ──

    @property
    def kubeconfig(self) -> Path:
        """The cluster admin's. Its address is one of the cluster's network: see `inside` and `in_node`."""
        return kubeconfig(self.run)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """What `kubectl` prints, as cluster admin."""
        command = [str(binaries(Module.KUBERNETES) / "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        try:
            done = subprocess.run(
                self._nodes[1].network.enter(*command),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(f"kubectl {' '.join(arguments)}: no end after {timeout:.0f} s") from None
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: dict[str, object]) -> None:
        """`kubectl apply` of objects, as decoded JSON."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread, and what it starts, be in node 1's network: addresses and names work as in a pod."""
        with inside(self._nodes[1].network.path, self.run / "resolv.conf"):
            yield

    def in_node(self, number: int, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` in the network of node `number`, with the cluster's DNS."""
        bind = f'mount --bind {self.run}/resolv.conf /etc/resolv.conf; exec "$@"'
        return self._nodes[number].network.enter("unshare", "--mount", "sh", "-e", "-c", bind, "sh", *argv)

    def start_in_node(self, number: int, argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a process in the network of node `number`; it ends with the cluster, if not before."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.in_node(number, argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=marked(self.run),
            )
        self._processes.append(process)
        return process

    def credentials(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig with which to act as a service account, under exactly its rights, for a day."""
        token = self.kubectl("create", "token", service_account, "-n", namespace, "--duration=24h").strip()
        path = self.run / "users" / f"{namespace}.{service_account}.conf"
        write_kubeconfig(path, self.run, service_account, token)
        return path

    def gpus(self, node: str, count: int, resource: str = "nvidia.com/gpu") -> None:
        """Let a node have `count` GPUs, which the scheduler counts like real ones; there is no device behind them."""
        status = json.dumps({"status": {"capacity": {resource: str(count)}, "allocatable": {resource: str(count)}}})
        self.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", status)

    # ── Losing things ──

    def kill_node(self, number: int) -> None:
        """Lose a node with all that runs on it. On node 1 the control plane stays, being no part of the machine."""
        self._nodes[number].kill()
        if number != 1:
            self._nodes[number].network.end()

    def start_node(self, number: int) -> None:
        """Boot a node that was lost, and wait until it is Ready. Its disk has what it had."""
        if self._nodes[number].is_up:
            raise ClusterError(f"node-{number} is up")
        if number != 1:
            self._nodes[number] = Node(self.run, self._new_network(number))
        self._boot(self._nodes[number])
        self._join(self._nodes[number])
        self._wait_ready(number)

    def kill(self, component: Component, node: int = 1) -> None:
        self.signal(component, signal.SIGKILL, node)

    def start(self, component: Component, node: int = 1, flags: Sequence[str] = ()) -> None:
        """Start a component that was killed, with more flags if given; waits until an API server is ready."""
        self._owner(component, node).start(component, flags)
        if component == "apiserver":
            self._wait_api()

    def signal(self, component: Component, number: signal.Signals, node: int = 1) -> None:
        """Send any signal to a component: SIGSTOP and SIGCONT make one that hangs."""
        self._owner(component, node).signal(component, number)

    def log(self, component: Component, node: int = 1) -> Path:
        return self._owner(component, node).log(component)

    # ── Within ──

    def _owner(self, component: Component, number: int) -> ControlPlane | Node:
        return self._control_plane if component in control_plane.COMPONENTS else self._nodes[number]

    def _new_network(self, number: int) -> Network:
        network = Network(self.run, number)
        network.join([machine.network for machine in self._nodes.values() if machine.number != number])
        return network

    def _start(self, images: Sequence[Path]) -> None:
        self._disk = disk_with(images, self.run)
        with ThreadPoolExecutor() as threads:
            list(threads.map(self._boot, self._nodes.values()))
        self._wait_api()
        for component in ("controller-manager", "scheduler", "coredns"):
            self._control_plane.start(component)
        for machine in self._nodes.values():
            self._join(machine)
        for number in self._nodes:
            self._wait_ready(number)
        # A pod that is made before its namespace has a service account is refused.
        wait_until(lambda: "default" in self._get("serviceaccounts"), "the default service account", 30)
        wait_until(self._dns_answers, "DNS", 30, self._control_plane.log("coredns"))

    def _boot(self, machine: Node) -> None:
        machine.boot(self._disk)

    def _join(self, machine: Node) -> None:
        machine.start("kube-proxy")
        machine.start("kubelet")

    def _get(self, *arguments: str) -> str:
        try:
            return self.kubectl("get", *arguments)
        except ClusterError:
            return ""

    def _wait_api(self) -> None:
        log = self._control_plane.log("apiserver")
        wait_until(lambda: self._get("--raw", "/readyz") == "ok", "the API server to be ready", 60, log)

    def _wait_ready(self, number: int) -> None:
        condition = "-o=jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        log = self._nodes[number].log("kubelet")
        wait_until(lambda: self._get("node", f"node-{number}", condition) == "True", f"node-{number}", 60, log)

    def _dns_answers(self) -> bool:
        command = self.in_node(1, ["getent", "hosts", "kubernetes.default.svc.cluster.local"])
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
