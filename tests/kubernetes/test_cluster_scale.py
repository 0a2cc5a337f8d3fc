"""Fake nodes take pods by the hundred, through the real API server, scheduler and controllers."""

import pytest

from tests.cluster import tools
from tests.cluster.cluster import Cluster
from tests.cluster.kwok import TOLERATION, fake_nodes
from tests.cluster.processes import wait_until

_PODS = 400


@pytest.mark.slow
def test_hundreds_of_fake_pods_become_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_CLUSTER_NAME", "scale")
    if why := tools.missing():
        pytest.skip(why)
    container = {"name": "model", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    deployment: dict[str, object] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "many", "namespace": "default"},
        "spec": {
            "replicas": _PODS,
            "selector": {"matchLabels": {"app": "many"}},
            "template": {
                "metadata": {"labels": {"app": "many"}},
                "spec": {"containers": [container], "tolerations": [TOLERATION]},
            },
        },
    }
    with Cluster.up(nodes=1, grace=300, patience=100) as cluster:
        fake_nodes(cluster, 4)
        cluster.apply(deployment)
        ready = ("get", "deployment", "many", "-o=jsonpath={.status.readyReplicas}")
        wait_until(lambda: cluster.kubectl(*ready) == str(_PODS), f"{_PODS} pods", timeout=60)
