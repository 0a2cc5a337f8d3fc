"""The sidecar: the queue proxy as the container that KServe lets requests go to first.

KServe has one slot for a container that stands before the model, made for collocated transformers, and points the
Service at its first port. So the container has to have that slot's name, and declares one port and no more: whatever it
declares, KServe shows in the Service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from admission.record import VARIABLE
from admission.token_volume import MOUNT, TOKEN_FILE, other_mounts
from autoscaler.policy.names import PROXY_CONTAINER
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.serving.queue_proxy_flags import model_flags, policy_flags
from queue_proxy.settings import known_flags

REQUEST_PORT = 8012
ADMIN_PORT = 8022
COMMAND = ("python", "-m", "queue_proxy")
DRAINED_HOOK: Mapping[str, object] = {"httpGet": {"path": "/drained", "port": ADMIN_PORT}}
"""The model's preStop: kubelet ends all containers of a pod at once, and a model that ends before its queue proxy has
drained takes requests with it."""

# What is asked for is its share of a processor that others want, too: a start takes 150 ms of one, and a wake may be
# waiting for it. A single-threaded process never uses more than one core, so its limit never slows it; bodies are not
# collected.
_RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
# Pod Security's `restricted`. No user is named: with a model in an image (oci://) KServe chooses one.
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_READY = {"httpGet": {"path": "/ready", "port": ADMIN_PORT}, "periodSeconds": 1}
_FIELDS = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_IP": "status.podIP"}
_CONTROLLER = "pilotlight-controller.pilotlight-system:7331"
_OWN_VARIABLES = (*_FIELDS, "PROTOCOL", VARIABLE)
_ADDRESSES = ("--name", "--service", "--listen", "--admin", "--announce-to", "--announce-token")
_OF_THE_POLICY = policy_flags(ScalingPolicy(), 0.0)[::2]
_OF_THE_MODEL = ("--upstream", "--upstream-protocol", "--probe", "--engine-metrics")
_DECIDED = frozenset((*_ADDRESSES, *_OF_THE_MODEL, *_OF_THE_POLICY))


@dataclass(frozen=True, slots=True)
class Model:
    """What the sidecar has to know of the model's container.

    port, port_name  where it serves, and what that port is called ("": nothing)
    protocol         the PROTOCOL variable of a custom predictor, None without one; KServe asks the sidecar for it
    """

    port: int
    port_name: str
    speaks_h2c: bool
    probe: Mapping[str, object] | None
    metrics_url: str | None
    protocol: str | None


def sidecar(
    image: str, service_name: str, model: Model, policy: ScalingPolicy, drain_seconds: float, record: str
) -> dict[str, object]:
    """The container. `service_name` is the InferenceService's, "" when it is not known yet."""
    port: dict[str, object] = {"containerPort": REQUEST_PORT, "protocol": "TCP"}
    if model.port_name:
        port = {"name": model.port_name, **port}
    return {
        "name": PROXY_CONTAINER,
        "image": image,
        "command": list(COMMAND),
        "args": list(_arguments(service_name, model, policy, drain_seconds)),
        "env": list(_variables(model, record)),
        "ports": [port],
        "readinessProbe": _READY,
        "resources": _RESOURCES,
        "securityContext": _SECURITY,
        "volumeMounts": [dict(MOUNT)],
    }


def find_sidecar(containers: Sequence[object]) -> int | None:
    """The index of our sidecar among the containers of a pod, None when it is not there."""
    for index, container in enumerate(containers):
        if isinstance(container, Mapping) and is_ours(container):
            return index
    return None


def is_ours(container: Mapping[str, object]) -> bool:
    """Whether the container in KServe's slot is a queue proxy, written by us or by hand, and not a transformer."""
    words = [*_texts(container.get("command")), *_texts(container.get("args"))]
    return container.get("name") == PROXY_CONTAINER and "queue_proxy" in words


def record_of(container: Mapping[str, object]) -> str | None:
    """The record in a sidecar's environment; None when an injection has not written it."""
    variables = container.get("env")
    for variable in variables if isinstance(variables, list) else ():
        if isinstance(variable, Mapping) and variable.get("name") == VARIABLE:
            value = variable.get("value")
            return value if isinstance(value, str) else None
    return None


def flags_of(container: Mapping[str, object]) -> dict[str, str]:
    """The flags of a sidecar, written as `--flag=value` or as two words; one without a value has an empty one."""
    flags: dict[str, str] = {}
    open_flag = ""
    for word in (*_texts(container.get("command")), *_texts(container.get("args"))):
        if word.startswith("--"):
            open_flag, separator, value = word.partition("=")
            flags[open_flag] = value
            open_flag = "" if separator else open_flag
        elif open_flag:
            flags[open_flag] = word
            open_flag = ""
    return flags


def same_model(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two sidecars stand before the same model: only their policies may differ, or their version."""
    flags, others = flags_of(one), flags_of(other)
    return (
        all(flags.get(flag) == others.get(flag) for flag in _OF_THE_MODEL)
        and one.get("ports") == other.get("ports")
        and _protocol(one) == _protocol(other)
    )


def differing_policy(one: Mapping[str, object], other: Mapping[str, object]) -> tuple[tuple[str, str, str], ...]:
    """The flags that the policy decides and that differ: each with both values ("" where it is missing)."""
    flags, others = flags_of(one), flags_of(other)
    return tuple(
        (flag, flags.get(flag, ""), others.get(flag, ""))
        for flag in _OF_THE_POLICY
        if flags.get(flag) != others.get(flag)
    )


def before_the_same_model(old: Mapping[str, object], fresh: Mapping[str, object]) -> dict[str, object]:
    """`fresh` before the model that `old` stands before, for when nobody knows today where that one serves."""
    flags = flags_of(old)
    own = [word for word in _texts(fresh["args"]) if word.partition("=")[0] not in _OF_THE_MODEL]
    model = [f"{flag}={flags[flag]}" for flag in _OF_THE_MODEL if flag in flags]
    return {**fresh, "args": [*own, *model], "ports": old.get("ports", fresh["ports"])}


def unknown_flags(container: Mapping[str, object]) -> tuple[str, ...]:
    """The flags of a sidecar with which today's queue proxy would not start."""
    known = known_flags()
    return tuple(flag for flag in flags_of(container) if flag not in known)


def upgraded(old: Mapping[str, object], fresh: Mapping[str, object]) -> dict[str, object]:
    """`fresh` with what somebody has added to `old`: resources, variables, mounts, flags that we do not decide.

    What would keep today's queue proxy from starting is left out, see `unknown_flags`.
    """
    not_kept = {*_DECIDED, *unknown_flags(old)}
    added = {flag: value for flag, value in flags_of(old).items() if flag not in not_kept}
    more = [f"{flag}={value}" if value else flag for flag, value in added.items()]
    variables = old.get("env")
    kept = [
        variable
        for variable in (variables if isinstance(variables, list) else [])
        if isinstance(variable, Mapping) and variable.get("name") not in _OWN_VARIABLES
    ]
    result = {**old, **fresh, "args": [*_texts(fresh["args"]), *more], "env": [*_list(fresh["env"]), *kept]}
    result["volumeMounts"] = [*_list(fresh["volumeMounts"]), *other_mounts(old)]
    if "resources" in old:
        result["resources"] = old["resources"]
    security = old.get("securityContext")
    if isinstance(security, Mapping):
        result["securityContext"] = {**security, **_SECURITY}
    return result


def _arguments(service_name: str, model: Model, policy: ScalingPolicy, drain_seconds: float) -> Iterator[str]:
    yield "--name=$(POD_NAME)"
    if service_name:
        yield f"--service=$(POD_NAMESPACE)/{service_name}"
    yield f"--listen=0.0.0.0:{REQUEST_PORT}"
    yield f"--admin=0.0.0.0:{ADMIN_PORT}"
    yield f"--announce-to=http://{_CONTROLLER}/replicas/$(POD_NAMESPACE)/$(POD_NAME)/$(POD_IP)"
    yield f"--announce-token={TOKEN_FILE}"
    flags = (
        *model_flags(model.port, speaks_h2c=model.speaks_h2c, probe=model.probe, metrics_url=model.metrics_url),
        *policy_flags(policy, drain_seconds),
    )
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        # Kubernetes fills in $(NAME) in arguments; what was written for the model's probe shall stay as it is.
        yield f"{flag}={value.replace('$(', '$$(')}"


def _variables(model: Model, record: str) -> Iterator[dict[str, object]]:
    for name, field in _FIELDS.items():
        yield {"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}
    if model.protocol is not None:
        yield {"name": "PROTOCOL", "value": model.protocol}
    yield {"name": VARIABLE, "value": record}


def _protocol(container: Mapping[str, object]) -> object:
    for variable in _list(container.get("env")):
        if isinstance(variable, Mapping) and variable.get("name") == "PROTOCOL":
            return variable.get("value")
    return None


def _texts(value: object) -> list[str]:
    return [text for text in _list(value) if isinstance(text, str)]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
