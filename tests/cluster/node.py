"""A node: a machine made of a network, a mount and a PID namespace, in which containerd, kubelet and kube-proxy run.

Its first process does nothing but reap. When that is killed, the kernel ends every process of the node, containers
included, and drops every mount: which is how a test loses a node, and why nothing is left of one.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import cgroups
from tests.cluster.configuration import kubeconfig, write_node
from tests.cluster.disk import answers, copy_disk
from tests.cluster.network import Network, address
from tests.cluster.processes import ClusterError, child_of, spawn, tail, wait_until
from tests.cluster.tools import Module, binaries

COMPONENTS = ("containerd", "kubelet", "kube-proxy")
# Directories outside the node's own one that containerd, CNI and kubelet write into whatever they are told.
SHARED_DIRECTORIES = ("/run/netns", "/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers")
_FIRST_PROCESS = (
    "".join(f"mount -t tmpfs node {directory}\n" for directory in SHARED_DIRECTORIES)
    + "touch {ready}\nwhile :; do sleep 3600 & wait $!; done\n"
)


class Node:
    """Node `number` on the given network, which outlives the node's reboots."""

    def __init__(self, run: Path, network: Network) -> None:
        self.number = network.node
        self.network = network
        self._run = run
        self._directory = write_node(run, self.number)
        self._machine: subprocess.Popen[bytes] | None = None
        self._first_process = 0
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def is_up(self) -> bool:
        return self._machine is not None

    def boot(self, disk: Path) -> None:
        """Start the machine and its containerd, with the images of `disk` or, after a reboot, of what that became."""
        if not (self._directory / "containerd").exists():
            copy_disk(disk, self._directory / "containerd")
        for volatile in ("state", "addresses"):  # what a machine that was switched off has lost
            shutil.rmtree(self._directory / volatile, ignore_errors=True)
        cgroups.make(self.number)
        ready = self._directory / "machine-ready"
        ready.unlink(missing_ok=True)
        script = _FIRST_PROCESS.format(ready=ready)
        isolated = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-e", "-c", script)
        log = self._directory / "machine.log"
        self._machine = spawn(self._run, self.network.enter(*isolated), log)
        wait_until(ready.exists, f"the machine of {self.name}", timeout=10, log=log)
        self._first_process = child_of(self._machine.pid, "sh") or 0
        self.start("containerd")

    def start(self, component: str, flags: Sequence[str] = ()) -> None:
        """Start one of COMPONENTS; `flags` come last and so win over those given here."""
        if component in self._running:
            raise ClusterError(f"{component} is running on {self.name}")
        if not self.is_up:
            raise ClusterError(f"{self.name} is down")
        machine = ["nsenter", f"--target={self._first_process}", "--mount", "--pid", "--net"]
        self._running[component] = spawn(self._run, [*machine, *self._command(component), *flags], self.log(component))
        if component == "containerd":
            wait_until(lambda: answers(self._socket), f"containerd of {self.name}", 20, self.log(component))

    def signal(self, component: str, number: signal.Signals) -> None:
        """Send a signal; after SIGKILL or SIGTERM wait for the end. Containers outlive containerd and kubelet."""
        outer = self._running.get(component)
        inner = child_of(outer.pid, component) if outer else None
        if outer is None or inner is None:
            raise ClusterError(f"{component} is not running on {self.name}{tail(self.log(component))}")
        if number is signal.SIGCONT:  # nsenter stops along with what it has started
            outer.send_signal(number)
        os.kill(inner, number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            outer.wait(timeout=60)
            del self._running[component]

    def kill(self) -> None:
        """Lose the machine, at once."""
        if self._machine is None:
            raise ClusterError(f"{self.name} is down")
        self._machine.kill()
        self.reap()

    def reap(self) -> None:
        for process in (*self._running.values(), *((self._machine,) if self._machine else ())):
            process.wait(timeout=10)
        self._running.clear()
        self._machine = None

    def log(self, component: str) -> Path:
        return self._directory / f"{component}.log"

    @property
    def _socket(self) -> Path:
        return self._directory / "containerd.sock"

    def _command(self, component: str) -> list[str]:
        programs, node = binaries(Module.KUBERNETES), self._directory
        match component:
            case "containerd":
                return ["containerd", "--config", f"{node}/containerd.toml"]
            case "kubelet":
                return [
                    f"{programs}/kubelet",
                    f"--config={node}/kubelet.json",
                    f"--kubeconfig={kubeconfig(self._run, f'system:node:{self.name}')}",
                    f"--node-ip={address(self.number)}",
                    f"--hostname-override={self.name}",
                    f"--root-dir={node}/kubelet",
                    f"--cert-dir={node}/kubelet/pki",
                ]
            case "kube-proxy":
                return [f"{programs}/kube-proxy", f"--config={node}/kube-proxy.json"]
            case _:
                raise ClusterError(f"no component {component!r} on a node; there are {', '.join(COMPONENTS)}")
