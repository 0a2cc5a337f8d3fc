"""Whether a service may be scaled by us at all, and if not, why not and what to do about it.

Two that write one number fight, and the loser is whoever holds the requests. So everything that would fight, and
everything that would make zero a trap (a Service that nobody can stand in front of, a pod that nobody can ask), is
refused by name, on the object, before anything is touched. Pure: the same facts give the same refusals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autoscaler.cluster.interface import Refusal
from autoscaler.cluster.kubernetes.facts import DEPLOYMENT_MODE, STOP, InferenceServiceFacts, KServeFacts, Workload
from autoscaler.cluster.kubernetes.slices import target_of
from autoscaler.policy.errors import PolicyErrors
from autoscaler.policy.names import AUTOSCALER_CLASS, PROXY_CONTAINER, SCALING
from autoscaler.policy.parse import read_policy

# Earlier ones write replicas although the class is `external`: 0.15.0 to minReplicas, 0.13 and 0.14 to an old number.
OLDEST_KSERVE = (0, 15, 1)
_STANDARD = ("", "Standard", "RawDeployment")


# What leaves nothing to decide by. All else stands in the way of acting, which nobody does in shadow.
_NOTHING_TO_SEE = frozenset({"NotAskedFor", "Stopped", "DeploymentModeNotStandard", "MultiNode", "NoQueueProxy"})


def refusals(workload: Workload) -> tuple[Refusal, ...]:
    """Every reason not to decide on this service, and unless it is in shadow not to scale it; none when all is well."""
    found = in_the_way(workload)
    if workload.inference_service.scaling != "shadow":
        return found
    return tuple(refusal for refusal in found if refusal.code in _NOTHING_TO_SEE)


def in_the_way(workload: Workload) -> tuple[Refusal, ...]:
    """Every reason not to scale this service, were it asked for."""
    return (
        *_wrong_kind(workload.inference_service),
        *_other_owners(workload),
        *_old_kserve(workload.kserve),
        *_no_way_in(workload),
    )


def _wrong_kind(inference_service: InferenceServiceFacts) -> Iterator[Refusal]:
    if not inference_service.asked_for:
        yield Refusal("NotAskedFor", f'nothing asks for it to be scaled; annotate it with {SCALING}: "on"')
    if inference_service.stopped:
        yield Refusal("Stopped", f"it was stopped; to run it again, remove the annotation {STOP}")
    mode = inference_service.deployment_mode
    if mode not in _STANDARD:
        yield Refusal(
            "DeploymentModeNotStandard",
            f"its deployment mode is {mode}, which scales by itself; create it with {DEPLOYMENT_MODE}: Standard"
            " (the mode of an InferenceService cannot be changed)",
        )
    if inference_service.multi_node:
        yield Refusal(
            "MultiNode",
            "it spans several nodes (spec.predictor.workerSpec), which KServe scales as one; remove the annotation"
            " pilotlight.dev/scaling",
        )
    if inference_service.canary and _may_reach_zero(inference_service):
        yield Refusal(
            "CanaryAtZero",
            "it has a canary, whose share of the traffic is lost at zero replicas; set spec.predictor.minReplicas to 1"
            " or more until the canary is over",
        )


def _other_owners(workload: Workload) -> Iterator[Refusal]:
    deployment = workload.deployment
    named = workload.inference_service.autoscaler_class or ("" if deployment is None else deployment.autoscaler_class)
    if named != "external":
        what = f"is {named}" if named else "is not set, which means hpa"
        yield Refusal(
            "AutoscalerClassNotExternal",
            f'{AUTOSCALER_CLASS} {what}, so KServe gives replicas an owner of its own; set it to "external"',
        )
    for scaler in workload.scalers:
        yield Refusal(
            "OwnedByAnother",
            f"{scaler.kind} {scaler.name} scales the same Deployment; delete it:"
            f" kubectl -n {scaler.namespace} delete {_RESOURCES.get(scaler.kind, scaler.kind)} {scaler.name}",
        )


_RESOURCES = {"HorizontalPodAutoscaler": "hpa", "ScaledObject": "scaledobject"}


def _old_kserve(kserve: Iterable[KServeFacts]) -> Iterator[Refusal]:
    versions = sorted(found.version for found in kserve if found.version is not None)
    if versions and versions[0] < OLDEST_KSERVE:
        yield Refusal(
            "KServeTooOld",
            f"KServe {_dotted(versions[0])} writes replicas although the class is external; upgrade it to"
            f" {_dotted(OLDEST_KSERVE)} or later",
        )


def _no_way_in(workload: Workload) -> Iterator[Refusal]:
    deployment, service = workload.deployment, workload.service
    problem = "" if service is None else target_of(service).problem
    if service is not None and problem:
        yield Refusal("HeadlessService" if service.headless else "ServiceUnusable", problem)
    if deployment is not None and not deployment.proxied:
        yield Refusal(
            "NoQueueProxy",
            f"its pods have no queue proxy ({PROXY_CONTAINER} with --listen and --admin), so nobody can tell when they"
            f" are idle; add it with: pilotlight inject -f FILE, for {workload.inference_service.name}",
        )


def _may_reach_zero(inference_service: InferenceServiceFacts) -> bool:
    try:
        policy = read_policy(inference_service.body)
    except PolicyErrors:
        return True
    return policy.scale_to_zero and policy.min_replicas == 0


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
