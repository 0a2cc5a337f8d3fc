"""What can be wrong with a cluster, each as a change to one in which nothing is missing."""

from __future__ import annotations

from collections.abc import Callable

from admission.certificates import issue_authority, issue_serving
from autoscaler.cluster.kubernetes.api_error import ApiError
from tests.unit.doctor.doctor_world import (
    DAY,
    NOW,
    ON,
    SYSTEM,
    World,
    certificates,
    component,
    encoded,
    isvc,
    metadata,
    webhook_configuration,
)

HPA = {
    "metadata": metadata("chat-predictor"),
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "chat-predictor"}},
}
SCALED = {**HPA, "spec": {**HPA["spec"], "triggers": []}}  # type: ignore[dict-item]
GPU_BUSY = {**ON, "pilotlight.dev/gpu-busy": "0.1"}


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
