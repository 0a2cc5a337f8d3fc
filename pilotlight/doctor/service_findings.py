"""What keeps an InferenceService that opted in from being scaled, by the very rules of the controller."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator

from autoscaler.cluster.kubernetes.facts import InferenceServiceFacts, ScalerFacts, Workload
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner
from autoscaler.cluster.kubernetes.ownership import in_the_way, refusals
from autoscaler.cluster.kubernetes.reduction import (
    deployment_facts,
    inference_service_facts,
    kserve_facts,
    scaler_facts,
    service_facts,
)
from autoscaler.policy.errors import PolicyErrors
from autoscaler.policy.names import SCALING
from autoscaler.policy.parse import read_policy
from autoscaler.policy.profiles import Profiles, read_profiles
from autoscaler.policy.scaling_policy import ScalingMode, ScalingPolicy
from pilotlight.doctor.finding import Finding, merge_patch, note, problem, warning
from pilotlight.doctor.kserve_findings import route_seconds
from pilotlight.doctor.look import Got, Looked, body_of, items_of
from pilotlight.doctor.picture import Picture

_Key = tuple[str, str]
# What is said by another finding, or by nobody having asked for anything.
_SAID_ELSEWHERE = ("NotAskedFor", "KServeTooOld")
_START_SECONDS = 600


def profiles(picture: Picture) -> Iterator[Finding]:
    """Mistakes in the ConfigMap of profiles."""
    for error in _profiles(picture).all_errors:
        yield problem("profile-wrong", "pilotlight-profiles", str(error), "kubectl edit configmap pilotlight-profiles"
                      f" -n {picture.namespace}")  # fmt: skip


def services(picture: Picture) -> Iterator[Finding]:
    """Every InferenceService with our annotation."""
    known = _Objects(picture)
    named = _profiles(picture)
    opted_in = 0
    for item in items_of(picture.inference_services):
        facts = inference_service_facts(item)
        if facts is None or not facts.asked_for or facts.scaling == ScalingMode.OFF.value:
            continue
        opted_in += 1
        yield from _refused(facts, known)
        policy = yield from _policy(facts, named)
        if policy is not None and facts.managed:
            yield from _wakes(facts, item, policy, route_seconds(picture))
    if not opted_in and isinstance(picture.inference_services, Got):
        there = len(items_of(picture.inference_services))
        yield note(
            "nothing-asked-for",
            "",
            f"none of {there} InferenceServices has the annotation {SCALING}"
            if there
            else "there is no InferenceService yet",
            f"kubectl -n NAMESPACE annotate inferenceservice NAME {SCALING}=on"
            " serving.kserve.io/autoscalerClass=external",
        )


class _Objects:
    """What KServe made of InferenceServices, and what scales it, by name."""

    def __init__(self, picture: Picture) -> None:
        self.deployments = {
            (facts.namespace, facts.name): facts
            for facts in map(deployment_facts, items_of(picture.deployments))
            if facts
        }
        self.services = {
            (facts.namespace, facts.name): facts for facts in map(service_facts, items_of(picture.services)) if facts
        }
        self.known = isinstance(picture.deployments, Got) and isinstance(picture.services, Got)
        self.scalers: dict[_Key, list[ScalerFacts]] = defaultdict(list)
        for looked in (picture.autoscalers, picture.scaled_objects):
            for scaler in _scalers(looked):
                self.scalers[scaler.namespace, scaler.target].append(scaler)
        self.kserve = tuple(facts for facts in map(kserve_facts, items_of(picture.kserve)) if facts)


def _scalers(looked: Looked) -> Iterator[ScalerFacts]:
    yield from (facts for facts in map(scaler_facts, items_of(looked)) if facts)


def _refused(facts: InferenceServiceFacts, known: _Objects) -> Iterator[Finding]:
    key = (facts.namespace, facts.predictor)
    deployment, service = known.deployments.get(key), known.services.get(key)
    workload = Workload(facts, deployment, service, tuple(known.scalers.get(key, ())), known.kserve)
    refused = refusals(workload)
    for refusal in in_the_way(workload):
        if refusal.code in _SAID_ELSEWHERE:
            continue
        name, said, fix = f"refused-{refusal.code}", refusal.message, _fix(refusal.code, facts)
        if refusal in refused:
            yield problem(name, facts.service, said, fix)
        else:
            yield note(
                f"would-be-{name}", facts.service, f"in shadow it is decided all the same; before it is on: {said}", fix
            )
    if known.known and not facts.stopped and (deployment is None or service is None):
        lacking = " and ".join(
            kind for kind, there in (("Deployment", deployment), ("Service", service)) if there is None
        )
        yield problem(
            "not-reconciled",
            facts.service,
            f"KServe has made no {lacking} {facts.predictor} for it",
            f"kubectl -n {facts.namespace} describe inferenceservice {facts.name}",
        )


def _fix(code: str, facts: InferenceServiceFacts) -> str:
    """The command for a refusal; empty where its own words have one."""
    what = f"kubectl -n {facts.namespace}"
    one = f"inferenceservice {facts.name}"
    match code:
        case "AutoscalerClassNotExternal":
            return f"{what} annotate {one} --overwrite serving.kserve.io/autoscalerClass=external"
        case "NoQueueProxy":
            return f"{what} get {one} -o yaml | pilotlight inject -f - | kubectl apply -f -"
        case "Stopped":
            return f"{what} annotate {one} serving.kserve.io/stop-"
        case "CanaryAtZero":
            return merge_patch(facts.namespace, one, {"spec": {"predictor": {"minReplicas": 1}}})
        case "MultiNode" | "DeploymentModeNotStandard":
            return f"{what} annotate {one} {SCALING}-"
        case "HeadlessService" | "ServiceUnusable":
            return (
                f"{what} delete service {facts.predictor}   # once serviceClusterIPNone is false KServe makes it anew"
            )
        case _:
            return ""


def _policy(facts: InferenceServiceFacts, named: Profiles) -> Generator[Finding, None, ScalingPolicy | None]:
    """Mistakes in its policy, as `pilotlight check` says them; returns the policy where it can be read."""
    try:
        return read_policy(facts.body, None, named)
    except PolicyErrors as wrong:
        for error in wrong.errors:
            fix = f"kubectl -n {facts.namespace} edit inferenceservice {facts.name}"
            yield problem("policy-wrong", facts.service, str(error), fix)
    return None


def _wakes(
    facts: InferenceServiceFacts, item: JsonObject, policy: ScalingPolicy, route: int | None
) -> Iterator[Finding]:
    """What makes a wake worse than it has to be."""
    if not policy.scale_to_zero or policy.min_replicas > 0:
        return
    predictor = inner(item, "spec", "predictor")
    one = f"inferenceservice {facts.name}"
    if route is not None and "timeout" not in predictor:
        yield warning(
            "route-cuts-wakes",
            facts.service,
            f"its HTTPRoute ends requests after {route} s, also those that wait for a replica to start",
            merge_patch(facts.namespace, one, {"spec": {"predictor": {"timeout": _START_SECONDS}}})
            + "\n# counts for running pods from their next start; or disableHTTPRouteTimeout in KServe's settings",
        )
    rolling = inner(predictor, "deploymentStrategy", "rollingUpdate")
    if "maxUnavailable" not in rolling and inner(predictor, "deploymentStrategy").get("type") != "Recreate":
        patch = {"spec": {"predictor": {"deploymentStrategy": {"rollingUpdate": {"maxUnavailable": 1}}}}}
        yield warning(
            "not-ready-while-waking",
            facts.service,
            "it counts as NotReady during each wake, because its Deployment may not have one replica unavailable",
            merge_patch(facts.namespace, one, patch),
        )


def _profiles(picture: Picture) -> Profiles:
    return read_profiles(body_of(picture.profiles))
