"""Our EndpointSlice on KServe's Service: what it looks like, and what is read of it.

kube-proxy and gateways take the union of all slices of a Service, each with its own port. So a slice of ours with the
activators' addresses and one port per InferenceService leads connections to the activator, and tells it whom they are
for, whatever is spoken on them. KServe never looks at slices, and Kubernetes' own controller leaves those alone that
somebody else manages.

While the activator is not in the path the slice names it as an endpoint that is ending but still serves, to which
kube-proxy leads only where no endpoint of the Service is ready (KEP-1669, on by default since Kubernetes 1.26). So
where the last pod is lost, connections are refused at no moment, however much later we hear of it. Gateways that know
no such fallback take it for nobody.

The slice exists as long as the service is managed: it is also the record of the service's port and of what a new
controller could not know. It never carries KServe's labels: KServe deletes what carries them and is not its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.cluster.kubernetes.facts import ServiceFacts
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, objects, text, texts

MANAGED_BY = "pilotlight.dev"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
SERVICE_LABEL = "kubernetes.io/service-name"
INFERENCE_SERVICE = "pilotlight.dev/inference-service"
ACTIVATOR_PORT = "pilotlight.dev/activator-port"
READY_GENERATION = "pilotlight.dev/ready-generation"
POLICY = "pilotlight.dev/policy"


@dataclass(frozen=True, slots=True)
class LedPort:
    """One port of the Service whose connections can be led to the activator."""

    name: str
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """KServe's Service of a predictor, as far as it matters who gets its connections.

    ports     those that lead where the first one leads; to others the activator could not stand in
    families  of its addresses: IPv4, IPv6, or both
    problem   why no slice of ours can serve it; empty when one can
    """

    name: str
    uid: str
    ports: tuple[LedPort, ...]
    families: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An activator: its address and the node that it runs on."""

    address: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class SliceFacts:
    """What is kept of a slice of ours.

    service           `namespace/name` of the InferenceService it is for
    port              the activator's port for that service, None where the record is unreadable
    endpoints         activators that connections are led to
    fallback          activators that they are led to where nobody else is ready
    ready_generation  the newest generation of the InferenceService of which a replica has been ready
    policy            in force when it was recorded, as the controller writes it; empty: not recorded
    """

    service: str
    name: str
    service_name: str
    owner_uid: str
    family: str
    port: int | None
    ports: tuple[tuple[LedPort, int], ...]
    endpoints: tuple[Endpoint, ...]
    ready_generation: int | None
    created: str
    version: str
    policy: str = ""
    fallback: tuple[Endpoint, ...] = ()


def target_of(service: ServiceFacts) -> Target:
    """What matters of a Service. Only ports that lead where its first one leads: to others we could not stand in."""
    tcp = [port for port in service.ports if port.protocol == "TCP"]
    led = tuple(LedPort(port.name, port.app_protocol) for port in tcp if port.target_port == tcp[0].target_port)
    problem = ""
    if service.headless:
        problem = (
            f"Service {service.name} has no address of its own (headless): clients dial pods themselves, on the pods' "
            "port, and an activator cannot stand in for pods that are not there. Set serviceClusterIPNone: false in "
            "KServe's inferenceservice-config"
        )
    elif not led:
        problem = f"Service {service.name} has no TCP port"
    return Target(service.name, service.uid, led, service.families, problem)


def slice_of(item: JsonObject) -> SliceFacts | None:
    """What matters of a slice; None when it is none of ours."""
    metadata = inner(item, "metadata")
    labels, annotations = inner(metadata, "labels"), inner(metadata, "annotations")
    inference_service = text(annotations, INFERENCE_SERVICE)
    if text(labels, MANAGED_BY_LABEL) != MANAGED_BY or not inference_service:
        return None
    owners = [owner for owner in objects(metadata, "ownerReferences") if text(owner, "kind") == "Service"]
    return SliceFacts(
        service=f"{text(metadata, 'namespace')}/{inference_service}",
        name=text(metadata, "name"),
        service_name=text(labels, SERVICE_LABEL),
        owner_uid=text(owners[0], "uid") if owners else "",
        family=text(item, "addressType"),
        port=_whole(text(annotations, ACTIVATOR_PORT)),
        ports=tuple(_led(port) for port in objects(item, "ports")),
        endpoints=_endpoints(item, ready=True),
        ready_generation=_whole(text(annotations, READY_GENERATION)),
        created=text(metadata, "creationTimestamp"),
        version=text(metadata, "resourceVersion"),
        policy=text(annotations, POLICY),
        fallback=_endpoints(item, ready=False),
    )


def slice_name(inference_service: str, family: str, target: Target) -> str:
    """The name of the slice for one family of addresses: the Service's first has the plain name."""
    plain = f"{inference_service}-pilotlight"
    return plain if family == target.families[0] else f"{plain}-{family.lower()}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a slice shall say; see SliceFacts."""

    service: str
    target: Target
    family: str
    port: int
    endpoints: tuple[Endpoint, ...]
    ready_generation: int | None
    policy: str = ""
    fallback: tuple[Endpoint, ...] = ()

    @property
    def name(self) -> str:
        """The slice's name."""
        return slice_name(self.service.partition("/")[2], self.family, self.target)

    @property
    def ports(self) -> tuple[tuple[LedPort, int], ...]:
        """As SliceFacts has them."""
        return tuple((port, self.port) for port in self.target.ports)

    def leads(self, facts: SliceFacts) -> bool:
        """Whether a slice that says `facts` leads connections of this Service to this service's activator port."""
        return (facts.service_name, facts.family, facts.ports) == (self.target.name, self.family, self.ports)

    def said_by(self, facts: SliceFacts) -> bool:
        """Whether a slice that says `facts` need not be written."""
        return (
            self.leads(facts)
            and facts.owner_uid == self.target.uid
            and facts.port == self.port
            and facts.endpoints == self.endpoints
            and facts.fallback == self.fallback
            and facts.ready_generation == self.ready_generation
            and facts.policy == self.policy
        )

    def body(self, version: str = "") -> JsonObject:
        """The object. With `version`, one that replaces just that version and no later one."""
        namespace, _, inference_service = self.service.partition("/")
        annotations = {INFERENCE_SERVICE: inference_service, ACTIVATOR_PORT: str(self.port)}
        if self.ready_generation is not None:
            annotations[READY_GENERATION] = str(self.ready_generation)
        if self.policy:
            annotations[POLICY] = self.policy
        metadata: dict[str, object] = {
            "name": self.name,
            "namespace": namespace,
            "labels": {SERVICE_LABEL: self.target.name, MANAGED_BY_LABEL: MANAGED_BY},
            "annotations": annotations,
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Service", "name": self.target.name, "uid": self.target.uid}
            ],
        }
        ports = [_port_body(port, self.port) for port in self.target.ports]
        return slice_body(metadata, version, self.family, ports, self.endpoints, self.fallback)


def slice_body(
    metadata: Mapping[str, object],
    version: str,
    family: str,
    ports: Sequence[Mapping[str, object]],
    endpoints: Iterable[Endpoint],
    fallback: Iterable[Endpoint] = (),
) -> JsonObject:
    """An EndpointSlice; with `version`, one that replaces just that version."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "resourceVersion": version} if version else metadata,
        "addressType": family,
        "ports": ports,
        "endpoints": [
            *(_endpoint_body(endpoint, ready=True) for endpoint in endpoints),
            *(_endpoint_body(endpoint, ready=False) for endpoint in fallback),
        ],
    }


def _endpoints(item: JsonObject, *, ready: bool) -> tuple[Endpoint, ...]:
    """Those that are ready, or that are not; a condition that is not told is taken for true, as the API says."""
    return tuple(
        Endpoint(address, text(endpoint, "nodeName"))
        for endpoint in objects(item, "endpoints")
        if (inner(endpoint, "conditions").get("ready") is not False) == ready
        for address in texts(endpoint, "addresses")
    )


def _endpoint_body(endpoint: Endpoint, *, ready: bool) -> dict[str, object]:
    """One entry of `endpoints`; not ready: a fallback."""
    body: dict[str, object] = {
        "addresses": [endpoint.address],
        "conditions": {"ready": ready, "serving": True, "terminating": not ready},
    }
    if endpoint.node:
        body["nodeName"] = endpoint.node
    return body


def _port_body(port: LedPort, number: int) -> dict[str, object]:
    body: dict[str, object] = {"name": port.name, "port": number, "protocol": "TCP"}
    if port.app_protocol:
        body["appProtocol"] = port.app_protocol
    return body


def _led(port: JsonObject) -> tuple[LedPort, int]:
    number = port.get("port")
    return LedPort(text(port, "name"), text(port, "appProtocol")), number if isinstance(number, int) else 0


def _whole(written: str) -> int | None:
    return int(written) if written.isascii() and written.isdigit() and len(written) <= 18 else None
