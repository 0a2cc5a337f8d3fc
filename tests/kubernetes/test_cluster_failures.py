"""What is lost in the real cluster is lost as in any other, and comes back."""

import json
import signal
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, Component
from tests.cluster.processes import ClusterError, wait_until
from tests.cluster.workload import deployment


@pytest.fixture
def echo(cluster: Cluster) -> Iterator[Cluster]:
    cluster.apply(deployment("echo", replicas=2))
    cluster.kubectl("rollout", "status", "deployment/echo", "--timeout=60s")
    yield cluster
    cluster.kubectl("delete", "deployment", "echo")


def test_pods_of_a_lost_node_are_replaced_on_another_and_the_node_comes_back(echo: Cluster) -> None:
    assert sorted(_nodes_of_ready_pods(echo)) == ["node-1", "node-2"]
    echo.kill_node(2)
    try:
        wait_until(lambda: _nodes_of_ready_pods(echo) == ["node-1", "node-1"], "pods on node-1", timeout=40)
    finally:
        echo.start_node(2)
    echo.kubectl("scale", "deployment/echo", "--replicas=4")
    wait_until(lambda: _nodes_of_ready_pods(echo).count("node-2") == 2, "pods on node-2", timeout=40)


@pytest.mark.parametrize(
    ("component", "node"),
    [
        ("etcd", 1),
        ("apiserver", 1),
        ("controller-manager", 1),
        ("scheduler", 1),
        ("coredns", 1),
        ("kube-proxy", 2),
        ("kubelet", 2),
        ("containerd", 2),
    ],
)
def test_a_component_that_was_killed_and_started_works_again(echo: Cluster, component: Component, node: int) -> None:
    echo.kill(component, node)
    with pytest.raises(ClusterError, match="not running"):
        echo.kill(component, node)
    echo.start(component, node)
    wait_until(lambda: _is_ready(echo), "the API server", timeout=30)
    echo.kubectl("delete", "pods", "-l", "app=echo")
    wait_until(lambda: sorted(_nodes_of_ready_pods(echo)) == ["node-1", "node-2"], "new pods", timeout=60)


def test_a_component_can_hang_and_go_on(cluster: Cluster) -> None:
    cluster.signal("apiserver", signal.SIGSTOP)
    try:
        with pytest.raises(ClusterError, match="no end after"):
            cluster.kubectl("get", "nodes", timeout=2)
    finally:
        cluster.signal("apiserver", signal.SIGCONT)
    assert "node-1" in cluster.kubectl("get", "nodes")


def test_the_scheduler_counts_gpus(cluster: Cluster) -> None:
    cluster.gpus("node-1", 1)
    cluster.gpus("node-2", 2)
    cluster.apply(deployment("gpu", replicas=4, gpus=1))
    try:
        wait_until(lambda: len(_nodes_of_ready_pods(cluster, "gpu")) == 3, "three pods with a GPU", timeout=40)
        assert sorted(_nodes_of_ready_pods(cluster, "gpu")) == ["node-1", "node-2", "node-2"]
        waiting = cluster.kubectl("get", "pods", "-l", "app=gpu", "--field-selector=status.phase=Pending", "-o", "name")
        assert len(waiting.split()) == 1
    finally:
        cluster.kubectl("delete", "deployment", "gpu")
        cluster.gpus("node-1", 0)
        cluster.gpus("node-2", 0)


def _nodes_of_ready_pods(cluster: Cluster, app: str = "echo") -> list[str]:
    return [
        pod["spec"]["nodeName"]
        for pod in json.loads(cluster.kubectl("get", "pods", "-l", f"app={app}", "-o", "json"))["items"]
        if "deletionTimestamp" not in pod["metadata"]
        and any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in pod["status"].get("conditions", [])
        )
    ]


def _is_ready(cluster: Cluster) -> bool:
    try:
        return cluster.kubectl("get", "--raw", "/readyz") == "ok"
    except ClusterError:
        return False
