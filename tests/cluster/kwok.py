"""Fake nodes by the thousand pods: KWOK plays kubelet for nodes that only exist in the API server.

Everything else is real: API server, scheduler, controllers, watches. Pods on fake nodes become Ready at once and have
addresses behind which nobody listens.
"""

from tests.cluster.cluster import Cluster
from tests.cluster.configuration import kubeconfig
from tests.cluster.processes import wait_until
from tests.cluster.tools import Module, binaries

LABEL = "kwok.x-k8s.io/node"
# A pod that may run on fake nodes tolerates this; all others, which expect to be run, keep away from them.
TOLERATION = {"key": LABEL, "operator": "Exists", "effect": "NoSchedule"}
_PODS_PER_NODE = 250


def fake_nodes(cluster: Cluster, count: int) -> None:
    """Add `count` Ready nodes with room for 250 pods each. Bring such a cluster up with a `grace` of minutes.

    Their heartbeats are KWOK's, which on two busy cores come late: with a grace of seconds the nodes would be declared
    lost and their pods deleted.
    """
    program = str(binaries(Module.KWOK) / "kwok")
    flags = [f"--kubeconfig={kubeconfig(cluster.run, 'kwok')}", f"--manage-nodes-with-label-selector={LABEL}=fake"]
    log = cluster.run / "kwok.log"
    no_settings = cluster.run / "kwok.yaml"
    no_settings.touch()
    cluster.start_in_node(1, [program, *flags, f"--config={no_settings}", "--cidr=198.18.128.0/17"], log)
    cluster.apply(*(_node(number) for number in range(count)))
    ready = "-o=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    names = f"--selector={LABEL}=fake"
    wait_until(lambda: cluster.kubectl("get", "nodes", names, ready).split() == ["True"] * count, "fake nodes", 60, log)


def _node(number: int) -> dict[str, object]:
    room = {"cpu": "1000", "memory": "4Ti", "pods": str(_PODS_PER_NODE), "nvidia.com/gpu": str(_PODS_PER_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"fake-{number}", "labels": {LABEL: "fake"}},
        "spec": {"taints": [{"key": LABEL, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": room, "allocatable": room},
    }
