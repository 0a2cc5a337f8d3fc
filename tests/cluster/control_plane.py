"""etcd, the API server, the controller manager, the scheduler and DNS: processes in node 1's network."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.configuration import kubeconfig, write_control_plane, write_users
from tests.cluster.network import SERVICES, Network, address
from tests.cluster.processes import ClusterError, spawn, tail
from tests.cluster.tools import Module, binaries

COMPONENTS = ("etcd", "apiserver", "controller-manager", "scheduler", "coredns")
_ETCD = "http://127.0.0.1:2379"
# Kubernetes' own defaults (20 to 50 requests a second) are meant to spare a shared API server; here they would be what
# a test waits for.
_UNTHROTTLED = ("--kube-api-qps=1000", "--kube-api-burst=1000", "--leader-elect=false")


class ControlPlane:
    """The components by name. `grace`: seconds for which a silent node counts as alive."""

    def __init__(self, run: Path, network: Network, grace: float) -> None:
        self._run = run
        self._network = network
        self._grace = grace
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        pki = run / "pki"
        pki.mkdir()
        (run / "users").mkdir()
        write_users(run)
        write_control_plane(run)
        key = pki / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        public = ["openssl", "rsa", "-in", str(key), "-pubout", "-out", str(key.with_suffix(".pub"))]
        subprocess.run(public, check=True, capture_output=True)

    def start(self, component: str, flags: Sequence[str] = ()) -> None:
        """Start one of COMPONENTS; `flags` come last and so win over those given here."""
        if component in self._running:
            raise ClusterError(f"{component} is running")
        argv = self._network.enter(*self._command(component), *flags)
        self._running[component] = spawn(self._run, argv, self.log(component))

    def signal(self, component: str, number: signal.Signals) -> None:
        """Send a signal; after SIGKILL or SIGTERM wait for the end."""
        process = self._running.get(component)
        if process is None or process.poll() is not None:
            raise ClusterError(f"{component} is not running{tail(self.log(component))}")
        process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            process.wait(timeout=60)
            del self._running[component]

    def log(self, component: str) -> Path:
        return self._run / f"{component}.log"

    def reap(self) -> None:
        """Wait for those that were killed from elsewhere."""
        for process in self._running.values():
            process.wait(timeout=10)

    def _command(self, component: str) -> list[str]:
        programs, run = binaries(Module.KUBERNETES), self._run
        match component:
            case "etcd":
                return [
                    f"{programs}/server",
                    f"--data-dir={run}/etcd",
                    f"--listen-client-urls={_ETCD}",
                    f"--advertise-client-urls={_ETCD}",
                    "--listen-peer-urls=http://127.0.0.1:2380",
                    "--unsafe-no-fsync",
                ]
            case "apiserver":
                return [f"{programs}/kube-apiserver", *self._api_server_flags()]
            case "controller-manager":
                return [
                    f"{programs}/kube-controller-manager",
                    f"--kubeconfig={kubeconfig(run, component)}",
                    f"--service-account-private-key-file={run}/pki/service-accounts.key",
                    f"--root-ca-file={run}/pki/apiserver.crt",
                    "--use-service-account-credentials=true",
                    "--node-monitor-period=1s",
                    f"--node-monitor-grace-period={self._grace:g}s",
                    *_UNTHROTTLED,
                ]
            case "scheduler":
                return [f"{programs}/kube-scheduler", f"--kubeconfig={kubeconfig(run, component)}", *_UNTHROTTLED]
            case "coredns":
                return [f"{programs}/coredns", "-conf", f"{run}/Corefile"]
            case _:
                raise ClusterError(f"no component {component!r}; there are {', '.join(COMPONENTS)}")

    def _api_server_flags(self) -> list[str]:
        pki = self._run / "pki"
        return [
            f"--etcd-servers={_ETCD}",
            f"--cert-dir={pki}",  # where it makes its own certificate, which is its own authority
            f"--advertise-address={address(1)}",
            "--secure-port=6443",
            f"--service-cluster-ip-range={SERVICES}",
            f"--service-account-key-file={pki}/service-accounts.pub",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={pki}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            # A lost node's pods are replaced after seconds instead of five minutes.
            "--default-not-ready-toleration-seconds=5",
            "--default-unreachable-toleration-seconds=5",
            f"--audit-policy-file={self._run}/audit-policy.json",
            f"--audit-log-path={self._run}/audit.log",
            "--audit-log-maxsize=10000",  # MB; a rotated log is one that a test reads half of
        ]
