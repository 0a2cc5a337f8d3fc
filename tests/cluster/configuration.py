"""The configuration files of the cluster's components. JSON, which is YAML too."""

import json
import secrets
from pathlib import Path

from tests.cluster import cgroups
from tests.cluster.network import MOST_NODES, PODS, address, pods

API_SERVER = f"https://{address(1)}:6443"
PAUSE_IMAGE = "localhost/pause:1"
# One name for each component, so that the audit log tells who wrote what. All may do everything, as these tests
# are not about Kubernetes' own rights; what is, asks for a service account's credentials.
USERS = (
    "admin",
    "controller-manager",
    "scheduler",
    "coredns",
    "kube-proxy",
    "kwok",
    "gateway",
    "kserve",
    *(f"system:node:node-{number}" for number in range(1, MOST_NODES + 1)),
)


def write_users(run: Path) -> None:
    """Make a token for each of USERS, the API server's list of them and a kubeconfig for each."""
    rows = []
    for number, user in enumerate(USERS):
        token = secrets.token_hex(16)
        rows.append(f'{token},{user},{number},"system:masters"\n')
        write_kubeconfig(kubeconfig(run, user), run, user, token)
    _write_secret(run / "pki" / "tokens.csv", "".join(rows))


def kubeconfig(run: Path, user: str = "admin") -> Path:
    return run / "users" / f"{user.rpartition(':')[2]}.conf"


def write_kubeconfig(path: Path, run: Path, user: str, token: str) -> None:
    cluster = {"server": API_SERVER, "certificate-authority": str(run / "pki" / "apiserver.crt")}
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "pilotlight", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": {"cluster": "pilotlight", "user": user}}],
        "current-context": user,
    }
    _write_secret(path, json.dumps(value))


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def write_control_plane(run: Path) -> None:
    audit = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            # How many replicas were asked for is what tests of scaling are about.
            {"level": "Request", "resources": [{"group": "apps", "resources": ["deployments/scale"]}]},
            {"level": "Metadata"},
        ],
    }
    (run / "audit-policy.json").write_text(json.dumps(audit))
    (run / "Corefile").write_text(
        f".:53 {{\n  bind {address(1)}\n  errors\n  ready {address(1)}:8181\n"
        f"  kubernetes cluster.local {{\n    kubeconfig {kubeconfig(run, 'coredns')}\n  }}\n}}\n"
    )
    (run / "resolv.conf").write_text(
        f"nameserver {address(1)}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
    )


def write_node(run: Path, number: int) -> Path:
    """Write the files of node `number` into its directory, which is returned."""
    node = run / f"node-{number}"
    (node / "cni").mkdir(parents=True, exist_ok=True)
    (node / "containerd.toml").write_text(_containerd(node))
    (node / "cni" / "10-pods.conflist").write_text(json.dumps(_pod_network(node, number)))
    (node / "kubelet.json").write_text(json.dumps(_kubelet(node, number)))
    (node / "kube-proxy.json").write_text(json.dumps(_kube_proxy(run, number)))
    return node


def _containerd(node: Path) -> str:
    return f"""version = 2
root = "{node}/containerd"
state = "{node}/state"
[grpc]
  address = "{node}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{node}/cni"
"""


def _pod_network(node: Path, number: int) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": f"{node}/addresses",
        "ranges": [[{"subnet": pods(number)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    host_ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, host_ports]}


def _kubelet(node: Path, number: int) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{node}/containerd.sock",
        "podLogsDir": f"{node}/logs",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.name(number),
        "failSwapOn": False,
        "clusterDNS": [address(1)],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        # The API server calls kubelet for logs and exec without a certificate.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "2s",
        "registryPullQPS": 0,
    }


def _kube_proxy(run: Path, number: int) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": f"node-{number}",
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": str(kubeconfig(run, "kube-proxy"))},
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
