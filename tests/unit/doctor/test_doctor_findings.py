"""Each thing that can be missing is found, named and comes with its fix; where nothing is missing nothing is found."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from admission.certificates import issue_authority, issue_serving
from autoscaler.cluster.kubernetes.api_error import ApiError
from pilotlight.doctor.run import cannot_look
from tests.unit.doctor.doctor_world import (
    ALL_LISTED,
    DAY,
    NOW,
    ON,
    OWN_LIST,
    SYSTEM,
    World,
    activator_pod,
    certificates,
    component,
    encoded,
    isvc,
    kserve_controller,
    metadata,
    predictor,
    service,
    webhook_configuration,
)

HPA = {
    "metadata": metadata("chat-predictor"),
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "chat-predictor"}},
}
SCALED = {**HPA, "spec": {**HPA["spec"], "triggers": []}}  # type: ignore[dict-item]
GPU_BUSY = {**ON, "pilotlight.dev/gpu-busy": "0.1"}


async def test_where_nothing_is_missing_nothing_is_found() -> None:
    assert await World().all_findings() == ()


def old_kubernetes(world: World) -> None:
    world.answers["/version"] = {"major": "1", "minor": "29", "gitVersion": "v1.29.1"}


def odd_kubernetes(world: World) -> None:
    world.answers["/version"] = {"gitVersion": "built here"}


def no_kserve(world: World) -> None:
    del world.answers["/apis/serving.kserve.io/v1beta1"]


def knative_mode(world: World) -> None:
    world.configure(deploy={"defaultDeploymentMode": "Knative"})


def headless(world: World) -> None:
    world.configure(service={"serviceClusterIPNone": True})


def unreadable(world: World) -> None:
    world.answers[world.config]["data"]["ingress"] = "{"


def no_configuration(world: World) -> None:
    del world.answers[world.config]


def not_installed(world: World) -> None:
    world.lists["own deployments"] = []


def down(world: World) -> None:
    world.lists["own deployments"][0] = component("pilotlight-controller", available=0)


def half_rolled_out(world: World) -> None:
    world.lists["own deployments"][1] = component("pilotlight-activator", available=1)


def alone(world: World) -> None:
    world.lists["own deployments"][1] = component("pilotlight-activator", replicas=1, available=1)


def two_versions(world: World) -> None:
    world.lists["own deployments"][1] = component("pilotlight-activator", image="pilotlight:0.0.9")


def no_lease(world: World) -> None:
    del world.answers[world.lease]


def given_up(world: World) -> None:
    world.answers[world.lease]["spec"]["holderIdentity"] = ""


def not_renewed(world: World) -> None:
    world.answers[world.lease]["spec"]["renewTime"] = "2027-01-15T07:58:00Z"


def silent_leader(world: World) -> None:
    world.refused[world.leader] = ApiError(503, "ServiceUnavailable", "dial tcp: i/o timeout")


def no_activators(world: World) -> None:
    world.answers[world.leader]["activators"] = []


def one_activator(world: World) -> None:
    world.answers[world.leader]["activators"] = ["activator-1"]


def troubled(world: World) -> None:
    world.answers[world.leader]["cluster_trouble"] = ["pods: no answer"]


def faulty(world: World) -> None:
    world.answers[world.leader]["services"] = [{"service": "team/chat", "error": "scrape: refused", "refused": []}]


def no_right(world: World) -> None:
    world.denied_rights.add(("patch", "deployments"))


def no_rights_reviews(world: World) -> None:
    world.refused["/apis/authorization.k8s.io/v1/subjectaccessreviews"] = ApiError(403, "Forbidden", "may not")


def no_webhooks(world: World) -> None:
    del world.answers[world.mutating], world.answers[world.validating]


def half_the_webhooks(world: World) -> None:
    del world.answers[world.validating]


def empty_bundle(world: World) -> None:
    world.answers[world.mutating] = webhook_configuration("inject.pilotlight.dev", "")


def garbage_bundle(world: World) -> None:
    world.answers[world.mutating] = webhook_configuration("inject.pilotlight.dev", encoded(b"garbage"))


def ended_authority(world: World) -> None:
    bundle = encoded(issue_authority(NOW - 10 * DAY, DAY).certificate)
    world.answers[world.validating] = webhook_configuration("check.pilotlight.dev", bundle)


def other_authority(world: World) -> None:
    bundle = encoded(issue_authority(NOW, DAY).certificate)
    world.answers[world.mutating] = webhook_configuration("inject.pilotlight.dev", bundle)


def wrong_namespace(world: World) -> None:
    world.answers[world.mutating] = webhook_configuration("inject.pilotlight.dev", certificates()[0], "elsewhere")


def empty_secret(world: World) -> None:
    world.answers[world.secret] = {}


def old_certificate(world: World) -> None:
    bundle, certificate = certificates(20)
    world.answers[world.secret] = {"data": {"tls.crt": certificate}}
    world.answers[world.mutating] = webhook_configuration("inject.pilotlight.dev", bundle)


def ended_certificate(world: World) -> None:
    authority = issue_authority(NOW - 10 * DAY, 700 * DAY)
    ended = encoded(issue_serving(authority, ["x"], NOW - 10 * DAY, DAY).certificate)
    world.answers[world.secret] = {"data": {"tls.crt": ended}}
    world.answers[world.mutating] = webhook_configuration("inject.pilotlight.dev", encoded(authority.certificate))


def garbage_certificate(world: World) -> None:
    world.answers[world.secret] = {"data": {"tls.crt": encoded(b"garbage")}}


def untried_webhook(world: World) -> None:
    world.dry_run = ApiError(403, "Forbidden", "you may not create inferenceservices")


def unheard_webhook(world: World) -> None:
    world.checks = False


def no_kube_proxy(world: World) -> None:
    world.lists["daemonsets"] = []


def unwell_kube_proxy(world: World) -> None:
    no_kube_proxy(world)
    world.lists["nodes"] = [{"metadata": {"name": "node-1"}}, {"metadata": {"name": "node-2"}}]
    world.answers["/api/v1/nodes/node-1:10256/proxy/healthz"] = {}
    world.refused["/api/v1/nodes/node-2:10256/proxy/healthz"] = ApiError(503, "", "it does not follow")


def cilium(world: World) -> None:
    world.lists["daemonsets"] = [{"metadata": metadata("cilium", "kube-system")}]


def no_gpu_series(world: World) -> None:
    world.lists["inferenceservices"] = [isvc(annotations=GPU_BUSY)]
    world.prometheus = []


def no_prometheus(world: World) -> None:
    world.lists["own deployments"][0] = component("pilotlight-controller")
    world.lists["inferenceservices"] = [isvc(annotations=GPU_BUSY)]


def deaf_prometheus(world: World) -> None:
    world.lists["own deployments"][0] = component("pilotlight-controller", args=["--prometheus", "http://q.monitoring"])
    world.lists["inferenceservices"] = [isvc(annotations=GPU_BUSY)]


def guarded_prometheus(world: World) -> None:
    path = "/api/v1/namespaces/monitoring/services/p:9090/proxy/api/v1/query"
    world.refused[path] = ApiError(401, "", "who are you?")


def bad_policy(world: World) -> None:
    world.lists["inferenceservices"] = [isvc(annotations={**ON, "pilotlight.dev/target": "many"})]


def bad_profile(world: World) -> None:
    path = f"/api/v1/namespaces/{SYSTEM}/configmaps/pilotlight-profiles"
    world.answers[path] = {"data": {"mine": "targets: 3\n"}}


def short_route(world: World) -> None:
    world.configure(ingress={"enableGatewayApi": True})


def unavailable(world: World) -> None:
    world.lists["inferenceservices"] = [isvc(deploymentStrategy={})]


def unreconciled(world: World) -> None:
    world.lists["deployments"] = []


def nothing_asked_for(world: World) -> None:
    world.lists["inferenceservices"] = [isvc(annotations={})]


def shadowed(world: World) -> None:
    replacing("inferenceservices", isvc(annotations={"pilotlight.dev/scaling": "shadow"}))(world)
    replacing("horizontalpodautoscalers", HPA)(world)


def hidden(world: World) -> None:
    path = "/apis/serving.kserve.io/v1beta1/inferenceservices"
    world.refused[path] = ApiError(403, "Forbidden", "you may not list inferenceservices")


def replacing(kind: str, item: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.lists[kind] = [item]

    return change


@pytest.mark.parametrize(
    ("change", "name", "severity", "evidence", "fix"),
    [
        (old_kubernetes, "kubernetes-too-old", "warning", "v1.29.1", "components/webhook"),
        (odd_kubernetes, "kubernetes-version-unknown", "note", "built here", ""),
        (no_kserve, "kserve-missing", "problem", "InferenceServices", "install KServe 0.15.1"),
        (replacing("deployments of kserve", kserve_controller("x/kserve-controller:v0.15.0")), "kserve-too-old",
         "problem", "0.15.0", "0.15.1 or later"),
        (replacing("deployments of kserve", kserve_controller("x/kserve-controller:latest")), "kserve-version-unknown",
         "note", "latest", ""),
        (lambda world: world.lists["deployments of kserve"].clear(), "kserve-controller-not-found", "warning",
         "nobody makes Deployments", "0.15.1 or later"),
        (replacing("deployments of kserve", kserve_controller(available=0)), "kserve-controller-down", "problem",
         "not reconciled", "describe deployment"),
        (knative_mode, "default-mode-not-standard", "warning", "Knative", "Standard"),
        (headless, "headless-by-default", "problem", "serviceClusterIPNone", "serviceClusterIPNone"),
        (unreadable, "kserve-configuration-unreadable", "problem", "ingress", ""),
        (no_configuration, "kserve-configuration-missing", "warning", "ConfigMap", "get configmaps"),
        (not_installed, "not-installed", "problem", "no such Deployment", "kubectl apply -k"),
        (down, "component-down", "problem", "none of 2", "describe pods"),
        (half_rolled_out, "component-not-rolled-out", "warning", "1 of 2", "describe pods"),
        (alone, "component-alone", "warning", "one replica", "--replicas=2"),
        (two_versions, "versions-differ", "warning", "0.0.9", "kubectl apply -k"),
        (no_lease, "nobody-leads", "problem", "no Lease", "logs"),
        (given_up, "nobody-leads", "problem", "names nobody", "logs"),
        (not_renewed, "nobody-leads", "problem", "120 s", "logs"),
        (silent_leader, "leader-not-reached", "warning", "i/o timeout", "port-forward"),
        (no_activators, "no-activator-connected", "problem", "none can wake", "logs"),
        (one_activator, "activator-not-connected", "warning", "activator-2", "logs"),
        (troubled, "leader-in-trouble", "warning", "pods: no answer", ""),
        (faulty, "service-in-trouble", "warning", "scrape: refused", "explain --cluster team/chat"),
        (no_right, "right-missing", "problem", "patch deployments/scale.apps", "kubectl apply -k"),
        (no_rights_reviews, "rights-unknown", "note", "subjectaccessreviews", ""),
        (no_webhooks, "no-webhooks", "note", "pilotlight inject", "kubectl apply -k"),
        (half_the_webhooks, "webhook-missing", "problem", "no such object", "kubectl apply -k"),
        (empty_bundle, "ca-bundle-empty", "problem", "never asked", "rollout restart"),
        (garbage_bundle, "ca-bundle-unreadable", "problem", "no certificate", "rollout restart"),
        (ended_authority, "ca-bundle-expired", "problem", "have ended", "rollout restart"),
        (other_authority, "certificate-unknown", "problem", "no authority", "logs"),
        (wrong_namespace, "webhook-elsewhere", "problem", "elsewhere", "kubectl apply -k"),
        (empty_secret, "certificate-missing", "problem", "nobody serves", "logs"),
        (old_certificate, "certificate-not-renewed", "warning", "20 days", "logs"),
        (ended_certificate, "certificate-expired", "problem", "has ended", "logs"),
        (garbage_certificate, "certificate-unreadable", "problem", "no certificate", "logs"),
        (untried_webhook, "webhook-not-tried", "note", "you may not create", ""),
        (unheard_webhook, "webhook-not-asked", "problem", "dry run", "endpointslices"),
        (no_kube_proxy, "kube-proxy-not-found", "warning", "nobody leads connections", "get daemonsets"),
        (unwell_kube_proxy, "kube-proxy-unwell", "warning", "led wrongly", "nodes/node-2:10256"),
        (cilium, "kube-proxy-replaced", "note", "Cilium", "endpointslices"),
        (no_gpu_series, "gpu-series-missing", "warning", "team/chat", "dcgm-exporter"),
        (no_prometheus, "gpu-metrics-not-read", "problem", "team/chat", "gpu-metrics"),
        (deaf_prometheus, "prometheus-not-reached", "problem", "team/chat", ""),
        (guarded_prometheus, "prometheus-not-tried", "note", "who are you?", ""),
        (bad_policy, "policy-wrong", "problem", "many", "edit inferenceservice"),
        (bad_profile, "profile-wrong", "problem", "targets", "edit configmap"),
        (short_route, "route-cuts-wakes", "warning", "60 s", '"timeout": 600'),
        (unavailable, "not-ready-while-waking", "warning", "NotReady", '"maxUnavailable": 1'),
        (unreconciled, "not-reconciled", "problem", "chat-predictor", "describe inferenceservice"),
        (nothing_asked_for, "nothing-asked-for", "note", "none of 1", "pilotlight.dev/scaling=on"),
        (hidden, "cannot-look", "warning", "you may not list", ""),
        (shadowed, "would-be-refused-OwnedByAnother", "note", "in shadow", ""),
        (replacing("horizontalpodautoscalers", HPA), "refused-OwnedByAnother", "problem", "HorizontalPod", ""),
        (replacing("scaledobjects", SCALED), "refused-OwnedByAnother", "problem", "ScaledObject", ""),
        (replacing("services", service(cluster_ip="None")), "refused-HeadlessService", "problem", "headless",
         "delete service"),
        (replacing("deployments", predictor(args=[])), "refused-NoQueueProxy", "problem", "no queue proxy",
         "pilotlight inject -f -"),
        (replacing("inferenceservices", isvc(annotations={"pilotlight.dev/scaling": "on"})),
         "refused-AutoscalerClassNotExternal", "problem", "external", "autoscalerClass=external"),
        (replacing("inferenceservices", isvc(workerSpec={})), "refused-MultiNode", "problem", "several nodes",
         "scaling-"),
        (replacing("inferenceservices", isvc(canaryTrafficPercent=10)), "refused-CanaryAtZero", "problem", "canary",
         '"minReplicas": 1'),
        (replacing("inferenceservices", isvc(annotations={**ON, "serving.kserve.io/deploymentMode": "Knative"})),
         "refused-DeploymentModeNotStandard", "problem", "Knative", "scaling-"),
    ],
)  # fmt: skip
async def test_what_is_missing_is_found_and_comes_with_its_fix(
    change: Callable[[World], None], name: str, severity: str, evidence: str, fix: str
) -> None:
    world = World()
    change(world)
    found = await world.findings()
    assert name in found, found
    finding = found[name]
    assert finding.severity.value == severity
    assert evidence in finding.evidence
    assert fix in finding.fix


async def test_what_may_not_be_looked_at_is_not_taken_for_absent() -> None:
    world = World()
    no_kube_proxy(world)
    world.refused["/apis/apps/v1/daemonsets"] = ApiError(403, "Forbidden", "you may not list daemonsets")
    assert set(await world.findings()) == {"cannot-look"}


@pytest.mark.parametrize(("status", "says"), [(0, "does not answer"), (401, "--context"), (200, "no API server")])
def test_who_cannot_look_at_all_is_told_why(status: int, says: str) -> None:
    told = cannot_look("kind-a", ApiError(status, "", "GET /version: \x1b[31mno"))
    assert says in told
    assert "\x1b" not in told


async def test_in_shadow_whoever_scales_is_no_problem() -> None:
    world = World()
    shadowed(world)
    assert {finding.severity.value for finding in (await world.findings()).values()} == {"note"}


async def test_services_that_are_off_or_never_asked_are_left_alone() -> None:
    world = World()
    off = isvc(annotations={"pilotlight.dev/scaling": "off", "pilotlight.dev/target": "many"})
    world.lists["inferenceservices"] = [off, isvc("other", {})]
    assert set(await world.findings()) == {"nothing-asked-for"}


async def test_the_annotation_list_keeps_kserves_entries_and_all_other_settings() -> None:
    world = World()
    world.configure(
        inferenceService={"resource": {"cpuLimit": "1"}, "serviceAnnotationDisallowedList": [*OWN_LIST, "ours.example"]}
    )
    world.lists["deployments"] = [predictor(annotations={"pilotlight.dev/target": "4"})]
    finding = (await world.findings())["policy-edits-restart-pods"]
    assert "team/chat roll once" in finding.evidence
    entry = _patched(finding.fix)
    assert entry["resource"] == {"cpuLimit": "1"}
    assert entry["serviceAnnotationDisallowedList"][: len(OWN_LIST) + 1] == [*OWN_LIST, "ours.example"]
    assert set(entry["serviceAnnotationDisallowedList"]) == {*ALL_LISTED, "ours.example"}
    world.configure(inferenceService=entry)
    assert "policy-edits-restart-pods" not in await world.findings()


async def test_without_the_list_kserves_own_entries_are_written_too() -> None:
    world = World()
    del world.answers[world.config]["data"]["inferenceService"]
    finding = (await world.findings())["policy-edits-restart-pods"]
    assert set(OWN_LIST) <= set(_patched(finding.fix)["serviceAnnotationDisallowedList"])


async def test_kserve_must_see_its_own_annotations() -> None:
    assert not [name for name in ALL_LISTED if name.startswith("serving.kserve.io/")]


def _patched(command: str) -> dict[str, Any]:
    """The entry that the command would write."""
    *_, patch = shlex.split(command.splitlines()[0])
    body: dict[str, Any] = json.loads(json.loads(patch)["data"]["inferenceService"])
    return body


async def test_rights_that_are_missing_are_findings_and_end_nothing() -> None:
    world = World()
    forbidden = ApiError(403, "Forbidden", "forbidden")
    for path in [*world.answers, "/apis/apps/v1/deployments", "/api/v1/services", "/apis/apps/v1/daemonsets",
                 "/api/v1/nodes", f"/api/v1/namespaces/{SYSTEM}/pods",
                 "/apis/authorization.k8s.io/v1/subjectaccessreviews"]:  # fmt: skip
        world.refused[path] = forbidden
    findings = await world.all_findings()
    names = {finding.name for finding in findings}
    assert "cannot-look" in names
    assert not names & {"kserve-missing", "not-installed", "nobody-leads", "not-reconciled", "right-missing"}


async def test_a_stopping_activator_need_not_be_connected() -> None:
    world = World()
    stopping = activator_pod("activator-3")
    stopping["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
    world.lists["own pods"].append(stopping)
    assert await world.all_findings() == ()


async def test_the_worst_come_first() -> None:
    world = World()
    for change in (no_webhooks, short_route, headless):
        change(world)
    assert [finding.severity.value for finding in await world.all_findings()] == ["problem", "warning", "note"]
