"""The webhooks in the real cluster: installed by their manifests, under their own rights, asked by the API server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.audit import service_account
from tests.cluster.cluster import Cluster
from tests.cluster.processes import ClusterError, wait_until
from tests.kubernetes.installation import NAMESPACE, Installation

USER = service_account(NAMESPACE, "pilotlight-webhook")
_THESE = "these=webhook"
_ROLLED_OUT = ("rollout", "status", "-n", NAMESPACE, "deployment/pilotlight-webhook", "--timeout=90s")
# What a user writes for a namespace in which Pod Security's `restricted` holds.
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1010,
    "seccompProfile": {"type": "RuntimeDefault"},
}
MODEL: dict[str, Any] = {
    "name": "mine",
    "image": "pilotlight:0.1.0",
    "imagePullPolicy": "Never",
    "command": ["pilotlight", "example-server"],
    "args": ["--host=0.0.0.0", "--port=8080", "--protocol=oip"],
    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
    "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 1},
    "securityContext": _RESTRICTED,
}


def isvc(name: str, annotations: dict[str, str] | None = None, /, **predictor: object) -> dict[str, object]:
    annotations = {"pilotlight.dev/scaling": "on"} if annotations is None else annotations
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations, "labels": {"these": "webhook"}},
        "spec": {"predictor": predictor or {"containers": [MODEL]}},
    }


@pytest.fixture(scope="module")
def webhook(installed: Installation) -> Iterator[Cluster]:
    """The cluster with all of it installed; what these tests apply is gone after them."""
    yield installed.cluster
    installed.cluster.kubectl("delete", "inferenceservices", "-l", _THESE, "-n", "default", "--wait=false")
    installed.cluster.kubectl("delete", "servingruntime", "mine", "-n", "default")
    installed.cluster.kubectl("delete", "configmap", "pilotlight-profiles", "-n", NAMESPACE)


def stored(cluster: Cluster, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(cluster.kubectl("get", "isvc", name, "-o", "json"))
    return body


def sidecar_of(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """The last container of a stored InferenceService, if it is the sidecar."""
    containers: list[dict[str, Any]] = stored(cluster, name)["spec"]["predictor"].get("containers", [])
    return containers[-1] if containers and containers[-1]["name"] == "transformer-container" else None


def test_an_opted_in_service_gets_the_queue_proxy_and_no_other_does(webhook: Cluster) -> None:
    webhook.apply(isvc("plain", {}), isvc("off", {"pilotlight.dev/scaling": "off"}), isvc("on"))
    assert sidecar_of(webhook, "plain") is None
    assert sidecar_of(webhook, "off") is None
    sidecar = sidecar_of(webhook, "on")
    assert sidecar is not None
    assert sidecar["image"] == "pilotlight:0.1.0"  # that of the webhook's own pod
    predictor = stored(webhook, "on")["spec"]["predictor"]
    assert predictor["containers"][0]["name"] == "kserve-container"
    assert predictor["deploymentStrategy"] == {"rollingUpdate": {"maxUnavailable": 1}}


def test_the_annotation_counts_on_the_predictor_too(webhook: Cluster) -> None:
    webhook.apply(isvc("beneath", {}, containers=[MODEL], annotations={"pilotlight.dev/scaling": "on"}))
    assert sidecar_of(webhook, "beneath") is not None


def test_a_runtime_in_the_cluster_says_where_its_model_serves(webhook: Cluster) -> None:
    container = {"name": "kserve-container", "image": "m", "ports": [{"name": "h2c", "containerPort": 9000}]}
    webhook.apply(
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ServingRuntime",
            "metadata": {"name": "mine", "namespace": "default"},
            "spec": {"supportedModelFormats": [{"name": "mine", "autoSelect": True}], "containers": [container]},
        }
    )
    webhook.apply(isvc("by-runtime", model={"modelFormat": {"name": "mine"}}))
    # Which runtimes there are is remembered for some seconds.
    wait_until(lambda: _again(webhook, "by-runtime"), "the runtime to be seen", 15)


def _again(cluster: Cluster, name: str) -> bool:
    sidecar = sidecar_of(cluster, name)
    assert sidecar is not None
    if "--upstream=127.0.0.1:9000" in sidecar["args"]:
        assert sidecar["ports"][0]["name"] == "h2c"
        return True
    cluster.kubectl("delete", "isvc", name)
    cluster.apply(isvc(name, model={"modelFormat": {"name": "mine"}}))
    return False


def test_mistakes_are_refused_at_kubectl_apply_all_at_once(webhook: Cluster) -> None:
    annotations = {"pilotlight.dev/scaling": "on", "pilotlight.dev/target": "many", "pilotlight.dev/windows": "1m"}
    with pytest.raises(ClusterError) as refused:
        webhook.apply(isvc("wrong", annotations))
    assert "check.pilotlight.dev" in str(refused.value)
    assert 'pilotlight.dev/target: "many" is not a number' in str(refused.value)
    assert "pilotlight.dev/windows" in str(refused.value)


def test_profiles_come_from_the_config_map(webhook: Cluster) -> None:
    using = isvc("profiled", {"pilotlight.dev/scaling": "on", "pilotlight.dev/profile": "interactive"})
    with pytest.raises(ClusterError, match="ConfigMap pilotlight-system/pilotlight-profiles is missing"):
        webhook.apply(using)
    profiles = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"interactive": "containerConcurrency: 7\n"}}
    webhook.apply({**profiles, "metadata": {"name": "pilotlight-profiles", "namespace": NAMESPACE}})
    wait_until(lambda: _applies(webhook, using), "the profile to be seen", 15)
    sidecar = sidecar_of(webhook, "profiled")
    assert sidecar is not None
    assert "--limit=7" in sidecar["args"]


def _applies(cluster: Cluster, body: dict[str, object]) -> bool:
    try:
        cluster.apply(body)
    except ClusterError:
        return False
    sidecar = sidecar_of(cluster, "profiled")
    if sidecar is not None and "--limit=7" in sidecar["args"]:
        return True
    cluster.kubectl("delete", "isvc", "profiled")  # the other replica had not seen the profile
    return False


def test_an_update_leaves_it_and_a_replacement_gets_it_back(webhook: Cluster) -> None:
    webhook.apply(isvc("kept"))
    before = stored(webhook, "kept")
    webhook.kubectl("label", "isvc", "kept", "team=a")
    assert stored(webhook, "kept")["spec"] == before["spec"]
    replacing = isvc("kept", containers=[{**MODEL, "image": "pilotlight:0.1.1"}])
    wait_until(lambda: _replaces(webhook, replacing), "nobody else to write it meanwhile", 15)
    after = stored(webhook, "kept")
    assert after["spec"]["predictor"]["containers"][0]["image"] == "pilotlight:0.1.1"
    assert after["spec"]["predictor"]["containers"][1] == before["spec"]["predictor"]["containers"][1]


def _replaces(cluster: Cluster, body: dict[str, object]) -> bool:
    """`kubectl replace` reads a version and replaces just that; KServe, too, writes a new object at first."""
    try:
        cluster.kubectl("replace", "-f", "-", stdin=json.dumps(body))
    except ClusterError as error:
        if "(Conflict)" not in str(error):
            raise
        return False
    return True


def test_what_was_put_in_runs_under_the_restricted_standard(webhook: Cluster) -> None:
    webhook.apply(isvc("runs"))
    predictor = stored(webhook, "runs")["spec"]["predictor"]
    namespace = {"name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    of_pods = {field: predictor[field] for field in ("containers", "volumes")}
    pod_spec = {**of_pods, "terminationGracePeriodSeconds": 1}
    pod_spec["containers"][1]["imagePullPolicy"] = "Never"
    webhook.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
    wait_until(lambda: "default" in webhook.kubectl("get", "sa", "-n", "restricted"), "its service account", 15)
    webhook.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runs", "namespace": "restricted"}, "spec": pod_spec}
    )
    webhook.kubectl("wait", "--for=condition=Ready", "pod/runs", "-n", "restricted", "--timeout=60s", timeout=70)
    ask = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8012/v2/health/ready').status)"
    command = ("exec", "-n", "restricted", "runs", "-c", "kserve-container", "--", "python", "-c", ask)
    assert webhook.kubectl(*command).strip() == "200"
    webhook.kubectl("delete", "namespace", "restricted", "--wait=false")


def test_one_replica_wrote_the_certificates_and_both_serve_by_them(webhook: Cluster) -> None:
    written = [
        event
        for event in webhook.audit.writes(USER)
        if event.resource == "secrets" and event.name == "pilotlight-webhook" and event.code == 200
    ]
    assert len(written) == 1
    for kind in ("mutatingwebhookconfiguration", "validatingwebhookconfiguration"):
        path = "-o=jsonpath={.webhooks[*].clientConfig.caBundle}"
        bundle = webhook.kubectl("get", kind, "pilotlight-webhook", path)
        secret = webhook.kubectl("get", "secret", "pilotlight-webhook", "-n", NAMESPACE, "-o=jsonpath={.data.ca\\.crt}")
        assert bundle == secret != ""


def test_while_it_is_away_objects_pass_and_are_completed_later(webhook: Cluster) -> None:
    webhook.kubectl("scale", "-n", NAMESPACE, "deployment/pilotlight-webhook", "--replicas=0")
    webhook.kubectl(
        "wait",
        "--for=delete",
        "pod",
        "-n",
        NAMESPACE,
        "-l",
        "app.kubernetes.io/name=pilotlight-webhook",
        "--timeout=60s",
    )
    webhook.apply(isvc("meanwhile"))
    assert sidecar_of(webhook, "meanwhile") is None
    webhook.kubectl("scale", "-n", NAMESPACE, "deployment/pilotlight-webhook", "--replicas=2")
    webhook.kubectl(*_ROLLED_OUT, timeout=100)
    wait_until(lambda: _completed(webhook), "the webhook to be asked again", 30)


def _completed(cluster: Cluster) -> bool:
    cluster.kubectl("label", "isvc", "meanwhile", "--overwrite", f"look={os.urandom(4).hex()}")
    return sidecar_of(cluster, "meanwhile") is not None


def test_its_rights_are_enough_and_nothing_was_forbidden(webhook: Cluster) -> None:
    assert webhook.audit.forbidden(USER) == []
