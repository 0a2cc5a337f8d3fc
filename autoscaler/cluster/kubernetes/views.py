"""Views: what the facts of one service's objects come to. Pure.

A replica's phase is read from its pod alone, from conditions and container states, because nothing else tells a pod
that waits for a GPU from one whose model loads and from one that crashes. The scheduler's and the kubelet's own words
are kept as the reason: they say what is missing better than we could.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autoscaler.cluster.interface import Refusal, Replica, ReplicaPhase, ServiceView
from autoscaler.cluster.kubernetes.facts import ContainerFacts, DeploymentFacts, InferenceServiceFacts, PodFacts
from autoscaler.policy.names import MODEL_CONTAINER
from autoscaler.policy.profiles import NO_PROFILES, Profiles

# Waiting for these ends only when somebody changes something, or after a pause that grows to five minutes.
_FAILING = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreStartHookError",
        "PostStartHookError",
    }
)
_OVER = ("Failed", "Succeeded")


@dataclass(frozen=True, slots=True)
class Path:
    """How new connections are led, as our EndpointSlice and the time since it was written say.

    ready_generation  the newest generation of the InferenceService of which a pod has been ready; −1: none is known
    policy            as it is recorded; empty: none is
    """

    port: int = 0
    in_path: bool = False
    left: bool = False
    ready_generation: int = -1
    policy: str = ""


def view_of(
    inference_service: InferenceServiceFacts,
    deployment: DeploymentFacts | None,
    pods: Iterable[PodFacts],
    path: Path,
    refused: tuple[Refusal, ...],
    profiles: Profiles = NO_PROFILES,
) -> ServiceView:
    """One service as the controller sees it. Without a Deployment there is nothing to scale yet."""
    replicas = replicas_of(inference_service.predictor, pods)
    return ServiceView(
        service=inference_service.service,
        inference_service=inference_service.body,
        generation=inference_service.generation,
        wanted=0 if deployment is None else deployment.replicas,
        replicas=replicas,
        activator_in_path=path.in_path,
        activator_left=path.left,
        port=path.port,
        ever_ready=path.ready_generation >= inference_service.generation or ready_now(deployment, replicas),
        refused=refused,
        deployed=deployment is not None,
        profiles=profiles if inference_service.profile else NO_PROFILES,
        recorded_policy=path.policy,
    )


def ready_now(deployment: DeploymentFacts | None, replicas: Iterable[Replica]) -> bool:
    """A pod is ready, and it is not one of an older template that is being replaced."""
    current = deployment is not None and deployment.current
    return current and any(replica.phase is ReplicaPhase.READY for replica in replicas)


def replicas_of(predictor: str, pods: Iterable[PodFacts]) -> tuple[Replica, ...]:
    """The pods of this Deployment, oldest first; a canary's and a worker's carry the same labels and are others.

    A pod that is over (evicted, refused by its node) has been replaced, so it is no replica any more. Only where it is
    the newest is it shown, because then what ended it is what keeps the service from being ready.
    """
    own = sorted(
        (pod for pod in pods if pod.owner.rpartition("-")[0] == predictor), key=lambda pod: (pod.created_at, pod.name)
    )
    return tuple(replica_of(pod) for pod in own if pod.phase not in _OVER or pod.deleted or pod is own[-1])


def replica_of(pod: PodFacts) -> Replica:
    """One pod as a replica."""
    phase, reason = phase_of(pod)
    reachable = bool(pod.ip) and pod.port > 0
    model = next((c for c in pod.containers if c.name == MODEL_CONTAINER), None)
    return Replica(
        name=pod.name,
        phase=phase,
        created_at=pod.created_at,
        host=pod.ip if reachable else None,
        port=pod.port if reachable else None,
        admin_port=pod.admin_port if reachable else None,
        ready_at=pod.ready_at if phase is ReplicaPhase.READY else None,
        reason=reason,
        scheduled_at=pod.scheduled_at,
        prepared_at=pod.initialized_at,
        started_at=model.started_at if model is not None and model.restarts == 0 else None,
    )


def phase_of(pod: PodFacts) -> tuple[ReplicaPhase, str | None]:
    """Where in its life a pod is, and what keeps it from being ready where something does."""
    if pod.deleted:
        return ReplicaPhase.DRAINING, None
    if pod.phase in _OVER:
        return ReplicaPhase.FAILED, pod.message or f"the pod is over: {pod.phase}"
    if pod.ready_at is not None:
        return ReplicaPhase.READY, None
    failed = _failure(pod)
    if failed is not None:
        return ReplicaPhase.FAILED, failed
    if pod.scheduled_at is None:
        return ReplicaPhase.PENDING, pod.unschedulable or None
    return ReplicaPhase.STARTING, None


def _failure(pod: PodFacts) -> str | None:
    for container in pod.init_containers:
        if container.waiting_reason in _FAILING or container.exit_code not in (None, 0):
            return _why(container)
    for container in pod.containers:
        if container.waiting_reason in _FAILING or container.exit_code is not None:
            return _why(container)
    return None


def _why(container: ContainerFacts) -> str:
    """Which container, why in Kubernetes' word, and how its last run ended."""
    code, reason, message = container.exit_code, container.exit_reason, container.exit_message
    if code is None:
        code, reason, message = container.last_exit_code, container.last_exit_reason, container.last_exit_message
    parts = [container.waiting_reason] if container.waiting_reason else []
    if code is not None:
        ended = f"exit code {code}" + (f" ({reason})" if reason not in ("", "Error") else "")
        parts.append(f"{ended}, {container.restarts} restarts" if container.restarts else ended)
    said = message or container.waiting_message
    return f"{container.name}: {', '.join(parts)}" + (f": {said.strip()}" if said.strip() else "")
