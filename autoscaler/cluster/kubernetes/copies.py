"""Copies: all objects that views are made of, indexed by service, and who is told when one changes.

Each object names its service in a label that KServe puts there, so that a change touches one service and nothing is
searched for. What touches all services (KServe's own version) marks them all; an edit of the profiles, those that
name one.

The address of a pod may be known before the API server knows it: its queue proxy tells it (`told_addresses`). Until the
pod's own object has another one than it had then, that is its address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from autoscaler.cluster.kubernetes.connection import Connection
from autoscaler.cluster.kubernetes.facts import (
    KSERVE_CONTROLLER_SELECTOR,
    PREDICTOR_SELECTOR,
    DeploymentFacts,
    InferenceServiceFacts,
    KServeFacts,
    PodFacts,
    ScalerFacts,
    ServiceFacts,
    Workload,
)
from autoscaler.cluster.kubernetes.profiles_copy import ProfilesCopy
from autoscaler.cluster.kubernetes.reduction import (
    deployment_facts,
    inference_service_facts,
    kserve_facts,
    pod_facts,
    scaler_facts,
    service_facts,
)
from autoscaler.cluster.kubernetes.reflector import Patience, Reflector, Resource
from autoscaler.policy.profiles import NAMESPACE, Profiles

INFERENCE_SERVICES = Resource("/apis/serving.kserve.io/v1beta1/inferenceservices")
DEPLOYMENTS = Resource("/apis/apps/v1/deployments", label_selector=PREDICTOR_SELECTOR)
SERVICES = Resource("/api/v1/services", label_selector=PREDICTOR_SELECTOR)
PODS = Resource("/api/v1/pods", label_selector=PREDICTOR_SELECTOR)
AUTOSCALERS = Resource("/apis/autoscaling/v2/horizontalpodautoscalers")
SCALED_OBJECTS = Resource("/apis/keda.sh/v1alpha1/scaledobjects", optional=True)
KSERVE_CONTROLLERS = Resource("/apis/apps/v1/deployments", label_selector=KSERVE_CONTROLLER_SELECTOR)


@dataclass(frozen=True, slots=True)
class _Told:
    """A pod's address by its own word, and the one that its object has had meanwhile; empty: none."""

    address: str
    instead_of: str


@dataclass(frozen=True, slots=True)
class Objects(Workload):
    """The objects of one service that are there: its workload and the pods of that."""

    pods: tuple[PodFacts, ...]


class Copies:
    """`touched(service)` is called for each `namespace/name` of which an object changed."""

    def __init__(self, connection: Connection, touched: Callable[[str], None], namespace: str = NAMESPACE) -> None:
        """`namespace` is our own, where profiles are."""
        self._touched = touched
        self._pods: dict[str, dict[str, PodFacts]] = {}
        self._told_addresses: dict[str, _Told] = {}
        self._scalers: dict[str, dict[tuple[str, str], ScalerFacts]] = {}

        self._inference_services: Reflector[InferenceServiceFacts] = Reflector(
            connection, INFERENCE_SERVICES, inference_service_facts, self._inference_service_changed
        )
        self._deployments: Reflector[DeploymentFacts] = Reflector(
            connection, DEPLOYMENTS, deployment_facts, self._deployment_changed
        )
        self._services: Reflector[ServiceFacts] = Reflector(connection, SERVICES, service_facts, self._service_changed)
        self._pod_copies: Reflector[PodFacts] = Reflector(connection, PODS, pod_facts, self._pod_changed)
        self._autoscalers: Reflector[ScalerFacts] = Reflector(
            connection, AUTOSCALERS, scaler_facts, self._scaler_changed
        )
        self._scaled_objects: Reflector[ScalerFacts] = Reflector(
            connection, SCALED_OBJECTS, scaler_facts, self._scaler_changed
        )
        self._kserve: Reflector[KServeFacts] = Reflector(
            connection, KSERVE_CONTROLLERS, kserve_facts, self._kserve_changed
        )
        self._profiles = ProfilesCopy(connection, namespace, self._profiles_changed, Patience())
        self._reflectors = (
            self._inference_services,
            self._deployments,
            self._services,
            self._pod_copies,
            self._autoscalers,
            self._scaled_objects,
            self._kserve,
        )

    async def run(self) -> None:
        """Keep them all, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run(), name=f"reflect {reflector.resource.path}")
            group.create_task(self._profiles.run(), name="follow profiles")

    async def synced(self) -> None:
        """Returns once everything was listed: a service of which some objects are not known yet looks like another.
        Profiles are waited for only for a while, see `profiles_copy`."""
        for reflector in self._reflectors:
            await reflector.synced.wait()
        await self._profiles.settled.wait()

    @property
    def in_trouble(self) -> tuple[str, ...]:
        """Why which copies may be old."""
        cut_off = (reflector.in_trouble for reflector in self._reflectors if reflector.in_trouble)
        return (*cut_off, *self._profiles.in_trouble)

    @property
    def names(self) -> Iterable[str]:
        """All InferenceServices."""
        return self._inference_services.facts.keys()

    def inference_service(self, service: str) -> InferenceServiceFacts | None:
        """The InferenceService of that name."""
        return self._inference_services.facts.get(service)

    @property
    def profiles(self) -> Profiles:
        """Those in force."""
        return self._profiles.in_force

    def of(self, inference_service: InferenceServiceFacts) -> Objects:
        """What is there of it."""
        service = inference_service.service
        predictor = f"{inference_service.namespace}/{inference_service.predictor}"
        return Objects(
            inference_service=inference_service,
            deployment=self._deployments.facts.get(predictor),
            service=self._services.facts.get(predictor),
            pods=tuple(map(self._with_address, self._pods.get(service, {}).values())),
            scalers=tuple(self._scalers.get(predictor, {}).values()),
            kserve=tuple(self._kserve.facts.values()),
        )

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        """A pod that is not about to end, with its address as far as anybody has told it; None without one."""
        facts = self._pod_copies.facts.get(f"{namespace}/{name}")
        return None if facts is None or facts.deleted else self._with_address(facts)

    def address_told(self, namespace: str, pod: str, uid: str, address: str) -> bool:
        """Take this for the pod's address until its object says something new. False when nobody waits for it."""
        facts = self._pod_copies.facts.get(f"{namespace}/{pod}")
        if facts is None or facts.deleted or facts.uid != uid or facts.ready_at is not None or facts.ip == address:
            return False
        self._told_addresses[uid] = _Told(address, instead_of=facts.ip)
        self._touched(f"{facts.namespace}/{facts.inference_service}")
        return True

    def _with_address(self, pod: PodFacts) -> PodFacts:
        told = self._told_addresses.get(pod.uid)
        return pod if told is None else replace(pod, ip=told.address)

    def _inference_service_changed(
        self, key: str, before: InferenceServiceFacts | None, after: InferenceServiceFacts | None
    ) -> None:
        self._profiles.named_by(before, after)
        self._touched(key)

    def _profiles_changed(self) -> None:
        for service, facts in self._inference_services.facts.items():
            if facts.profile:
                self._touched(service)

    def _deployment_changed(self, key: str, before: DeploymentFacts | None, after: DeploymentFacts | None) -> None:
        for facts in (before, after):
            if facts is not None:
                self._touched(f"{facts.namespace}/{facts.inference_service}")

    def _service_changed(self, key: str, before: ServiceFacts | None, after: ServiceFacts | None) -> None:
        for facts in (before, after):
            if facts is not None:
                self._touched(f"{facts.namespace}/{facts.inference_service}")

    def _pod_changed(self, key: str, before: PodFacts | None, after: PodFacts | None) -> None:
        if before is not None:
            service = f"{before.namespace}/{before.inference_service}"
            pods = self._pods.get(service, {})
            pods.pop(before.name, None)
            if not pods:
                self._pods.pop(service, None)
            told = self._told_addresses.get(before.uid)
            if told is not None and (after is None or after.uid != before.uid or after.ip not in ("", told.instead_of)):
                del self._told_addresses[before.uid]
            self._touched(service)
        if after is not None:
            service = f"{after.namespace}/{after.inference_service}"
            self._pods.setdefault(service, {})[after.name] = after
            self._touched(service)

    def _scaler_changed(self, key: str, before: ScalerFacts | None, after: ScalerFacts | None) -> None:
        if before is not None:
            target = f"{before.namespace}/{before.target}"
            scalers = self._scalers.get(target, {})
            scalers.pop((before.kind, before.name), None)
            if not scalers:
                self._scalers.pop(target, None)
            self._touch_owner(target)
        if after is not None:
            target = f"{after.namespace}/{after.target}"
            self._scalers.setdefault(target, {})[after.kind, after.name] = after
            self._touch_owner(target)

    def _touch_owner(self, deployment: str) -> None:
        facts = self._deployments.facts.get(deployment)
        if facts is not None:  # else the Deployment touches it when it comes
            self._touched(f"{facts.namespace}/{facts.inference_service}")

    def _kserve_changed(self, key: str, before: KServeFacts | None, after: KServeFacts | None) -> None:
        for service in self.names:
            self._touched(service)
