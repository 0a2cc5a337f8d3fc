"""Each thing that can be missing is found, named and comes with its fix; where nothing is missing nothing is found."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.cluster.kubernetes.api_error import ApiError
from pilotlight.doctor.run import cannot_look
from tests.unit.doctor import doctor_faults as faults
from tests.unit.doctor.doctor_faults import HPA, SCALED, replacing
from tests.unit.doctor.doctor_world import (
    ALL_LISTED,
    ON,
    OWN_LIST,
    SYSTEM,
    World,
    activator_pod,
    isvc,
    kserve_controller,
    predictor,
    service,
)


async def test_where_nothing_is_missing_nothing_is_found() -> None:
    assert await World().all_findings() == ()


@pytest.mark.parametrize(
    ("change", "name", "severity", "evidence", "fix"),
    [
        (faults.old_kubernetes, "kubernetes-too-old", "warning", "v1.29.1", "components/webhook"),
        (faults.odd_kubernetes, "kubernetes-version-unknown", "note", "built here", ""),
        (faults.no_kserve, "kserve-missing", "problem", "InferenceServices", "install KServe 0.15.1"),
        (replacing("deployments of kserve", kserve_controller("x/kserve-controller:v0.15.0")), "kserve-too-old",
         "problem", "0.15.0", "0.15.1 or later"),
        (replacing("deployments of kserve", kserve_controller("x/kserve-controller:latest")), "kserve-version-unknown",
         "note", "latest", ""),
        (lambda world: world.lists["deployments of kserve"].clear(), "kserve-controller-not-found", "warning",
         "nobody makes Deployments", "0.15.1 or later"),
        (replacing("deployments of kserve", kserve_controller(available=0)), "kserve-controller-down", "problem",
         "not reconciled", "describe deployment"),
        (faults.knative_mode, "default-mode-not-standard", "warning", "Knative", "Standard"),
        (faults.headless, "headless-by-default", "problem", "serviceClusterIPNone", "serviceClusterIPNone"),
        (faults.unreadable, "kserve-configuration-unreadable", "problem", "ingress", ""),
        (faults.no_configuration, "kserve-configuration-missing", "warning", "ConfigMap", "get configmaps"),
        (faults.not_installed, "not-installed", "problem", "no such Deployment", "kubectl apply -k"),
        (faults.down, "component-down", "problem", "none of 2", "describe pods"),
        (faults.half_rolled_out, "component-not-rolled-out", "warning", "1 of 2", "describe pods"),
        (faults.alone, "component-alone", "warning", "one replica", "--replicas=2"),
        (faults.two_versions, "versions-differ", "warning", "0.0.9", "kubectl apply -k"),
        (faults.no_lease, "nobody-leads", "problem", "no Lease", "logs"),
        (faults.given_up, "nobody-leads", "problem", "names nobody", "logs"),
        (faults.not_renewed, "nobody-leads", "problem", "120 s", "logs"),
        (faults.silent_leader, "leader-not-reached", "warning", "i/o timeout", "port-forward"),
        (faults.no_activators, "no-activator-connected", "problem", "none can wake", "logs"),
        (faults.one_activator, "activator-not-connected", "warning", "activator-2", "logs"),
        (faults.troubled, "leader-in-trouble", "warning", "pods: no answer", ""),
        (faults.faulty, "service-in-trouble", "warning", "scrape: refused", "explain --cluster team/chat"),
        (faults.no_right, "right-missing", "problem", "patch deployments/scale.apps", "kubectl apply -k"),
        (faults.no_rights_reviews, "rights-unknown", "note", "subjectaccessreviews", ""),
        (faults.no_webhooks, "no-webhooks", "note", "pilotlight inject", "kubectl apply -k"),
        (faults.half_the_webhooks, "webhook-missing", "problem", "no such object", "kubectl apply -k"),
        (faults.empty_bundle, "ca-bundle-empty", "problem", "never asked", "rollout restart"),
        (faults.garbage_bundle, "ca-bundle-unreadable", "problem", "no certificate", "rollout restart"),
        (faults.ended_authority, "ca-bundle-expired", "problem", "have ended", "rollout restart"),
        (faults.other_authority, "certificate-unknown", "problem", "no authority", "logs"),
        (faults.wrong_namespace, "webhook-elsewhere", "problem", "elsewhere", "kubectl apply -k"),
        (faults.empty_secret, "certificate-missing", "problem", "nobody serves", "logs"),
        (faults.old_certificate, "certificate-not-renewed", "warning", "20 days", "logs"),
        (faults.ended_certificate, "certificate-expired", "problem", "has ended", "logs"),
        (faults.garbage_certificate, "certificate-unreadable", "problem", "no certificate", "logs"),
        (faults.untried_webhook, "webhook-not-tried", "note", "you may not create", ""),
        (faults.unheard_webhook, "webhook-not-asked", "problem", "dry run", "endpointslices"),
        (faults.no_kube_proxy, "kube-proxy-not-found", "warning", "nobody leads connections", "get daemonsets"),
        (faults.unwell_kube_proxy, "kube-proxy-unwell", "warning", "led wrongly", "nodes/node-2:10256"),
        (faults.cilium, "kube-proxy-replaced", "note", "Cilium", "endpointslices"),
        (faults.no_gpu_series, "gpu-series-missing", "warning", "team/chat", "dcgm-exporter"),
        (faults.no_prometheus, "gpu-metrics-not-read", "problem", "team/chat", "gpu-metrics"),
        (faults.deaf_prometheus, "prometheus-not-reached", "problem", "team/chat", ""),
        (faults.guarded_prometheus, "prometheus-not-tried", "note", "who are you?", ""),
        (faults.bad_policy, "policy-wrong", "problem", "many", "edit inferenceservice"),
        (faults.bad_profile, "profile-wrong", "problem", "targets", "edit configmap"),
        (faults.short_route, "route-cuts-wakes", "warning", "60 s", '"timeout": 600'),
        (faults.unavailable, "not-ready-while-waking", "warning", "NotReady", '"maxUnavailable": 1'),
        (faults.unreconciled, "not-reconciled", "problem", "chat-predictor", "describe inferenceservice"),
        (faults.nothing_asked_for, "nothing-asked-for", "note", "none of 1", "pilotlight.dev/scaling=on"),
        (faults.hidden, "cannot-look", "warning", "you may not list", ""),
        (faults.shadowed, "would-be-refused-OwnedByAnother", "note", "in shadow", ""),
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
    faults.no_kube_proxy(world)
    world.refused["/apis/apps/v1/daemonsets"] = ApiError(403, "Forbidden", "you may not list daemonsets")
    assert set(await world.findings()) == {"cannot-look"}


@pytest.mark.parametrize(("status", "says"), [(0, "does not answer"), (401, "--context"), (200, "no API server")])
def test_who_cannot_look_at_all_is_told_why(status: int, says: str) -> None:
    told = cannot_look("kind-a", ApiError(status, "", "GET /version: \x1b[31mno"))
    assert says in told
    assert "\x1b" not in told


async def test_in_shadow_whoever_scales_is_no_problem() -> None:
    world = World()
    faults.shadowed(world)
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
    for change in (faults.no_webhooks, faults.short_route, faults.headless):
        change(world)
    assert [finding.severity.value for finding in await world.all_findings()] == ["problem", "warning", "note"]
