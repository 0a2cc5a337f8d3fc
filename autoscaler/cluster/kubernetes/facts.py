"""Facts: what is kept of each object, and nothing else.

A pod's object is ten to thirty kilobytes of JSON, most of which nobody here asks for. Each kind has one frozen value,
made the moment the object arrives; two equal values are no news. That is also what keeps five thousand services in a
few dozen megabytes.

Names as KServe makes them (0.15.1 to 0.20): the Deployment and the Service of a predictor are `<isvc>-predictor`, or
`<isvc>-<spec.predictor.name>-predictor`; pods and both of them carry the label `serving.kserve.io/inferenceservice`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

INFERENCE_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
COMPONENT_LABEL = "component"
PREDICTOR_SELECTOR = f"{INFERENCE_SERVICE_LABEL},{COMPONENT_LABEL}=predictor"
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
STOP = "serving.kserve.io/stop"
KSERVE_CONTROLLER_SELECTOR = "control-plane=kserve-controller-manager"


@dataclass(frozen=True, slots=True)
class InferenceServiceFacts:
    """One InferenceService.

    scaling    what its annotation says, "" where it has none: then it is none of ours, and little else is kept
    profile    the name of the profile that it names, empty where it names none
    body       the part of the object that policies and reports are read from
    predictor  the name of its predictor's Deployment and Service
    """

    namespace: str
    name: str
    uid: str
    generation: int
    scaling: str
    profile: str
    body: Mapping[str, object]
    predictor: str
    deployment_mode: str
    autoscaler_class: str
    canary: bool
    multi_node: bool
    stopped: bool

    @property
    def service(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def asked_for(self) -> bool:
        """Its user wants something of us, be it to be left alone."""
        return self.scaling != ""

    @property
    def managed(self) -> bool:
        """We may act on it. A value that cannot be read does not take that away: the last policy that could stays."""
        return self.scaling not in ("", "off", "shadow")


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """A predictor's Deployment.

    autoscaler_class  as KServe merged it from the runtime, the InferenceService and its predictor
    current           all its pods are of the newest template
    proxied           its pods have a queue proxy
    """

    namespace: str
    name: str
    inference_service: str
    replicas: int
    autoscaler_class: str
    current: bool
    proxied: bool


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One container's state. Times are seconds since 1970; `last_*` tell of the run before this one."""

    name: str
    ready: bool
    restarts: int
    started_at: float | None = None
    waiting_reason: str = ""
    waiting_message: str = ""
    exit_code: int | None = None
    exit_reason: str = ""
    exit_message: str = ""
    last_exit_code: int | None = None
    last_exit_reason: str = ""
    last_exit_message: str = ""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod of a predictor. `owner` names the ReplicaSet that made it; ports are its queue proxy's, 0: none."""

    namespace: str
    name: str
    uid: str
    inference_service: str
    owner: str
    created_at: float
    deleted: bool
    phase: str
    message: str
    ip: str
    port: int
    admin_port: int
    scheduled_at: float | None
    unschedulable: str
    initialized_at: float | None
    ready_at: float | None
    init_containers: tuple[ContainerFacts, ...]
    containers: tuple[ContainerFacts, ...]
    deletion_cost: str


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service."""

    name: str
    port: int
    target_port: str
    protocol: str
    app_protocol: str


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A predictor's Service. `headless`: it has no address of its own, so nobody can stand in its path.

    `families` of its addresses: IPv4, IPv6, or both, its first one first.
    """

    namespace: str
    name: str
    inference_service: str
    uid: str
    headless: bool
    ports: tuple[ServicePort, ...]
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScalerFacts:
    """Something else that scales: `kind` is HorizontalPodAutoscaler or ScaledObject, `target` a Deployment's name."""

    kind: str
    namespace: str
    name: str
    target: str


@dataclass(frozen=True, slots=True)
class KServeFacts:
    """KServe's own controller. `version` as its image says, None where that says none."""

    version: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Workload:
    """An InferenceService, what KServe has made of it so far, what else scales that Deployment, and the KServe
    controllers that were found."""

    inference_service: InferenceServiceFacts
    deployment: DeploymentFacts | None
    service: ServiceFacts | None
    scalers: tuple[ScalerFacts, ...]
    kserve: tuple[KServeFacts, ...]
