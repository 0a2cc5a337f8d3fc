"""The pod spec that KServe makes of a predictor in Standard mode: custom containers, or a runtime and a model.

Pure. What is left out: storage (no model is downloaded), the agent, batcher and logger, multi-node workers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = dict[str, "object"]

MODEL = "kserve-container"
SIDECAR = "transformer-container"

# Fields of a predictor that are KServe's own; every other one is a field of the pod's spec.
_NOT_OF_A_POD = {
    "model", "name", "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling",
    "containerConcurrency", "timeout", "canaryTrafficPercent", "logger", "batcher", "labels", "annotations",
    "deploymentStrategy", "workerSpec", "containers",
}  # fmt: skip
_NOT_OF_A_CONTAINER = {"modelFormat", "protocolVersion", "runtime", "storageUri", "storage"}


class UnsupportedError(ValueError):
    """A predictor that KServe would refuse, or that this stand-in does not know: says which and why."""


@dataclass(frozen=True)
class Runtime:
    """A ServingRuntime's or ClusterServingRuntime's name and spec."""

    name: str
    spec: Json


def mapping(value: object) -> Json:
    """`value` as a mapping; an absent one is empty."""
    return dict(value) if isinstance(value, Mapping) else {}


def sequence(value: object) -> list[object]:
    """`value` as a list; an absent one is empty."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def pod_spec(name: str, predictor: Json, runtimes: Sequence[Runtime]) -> tuple[Json, Runtime | None]:
    """The predictor's pod spec and the runtime that it comes from. Raises UnsupportedError."""
    if "workerSpec" in predictor:
        raise UnsupportedError("multi-node predictors are not made here")
    runtime = None
    own = [mapping(deepcopy(container)) for container in sequence(predictor.get("containers"))]
    if "model" in predictor:
        runtime = _runtime_for(mapping(predictor["model"]), runtimes)
        spec = {field: deepcopy(value) for field, value in runtime.spec.items() if field in _FROM_RUNTIME}
        containers = _with_model(runtime, mapping(predictor["model"]), own)
    else:
        spec, containers = {}, _custom(own)
    volumes = {str(mapping(entry).get("name")): entry for holder in (spec, predictor) for entry in _volumes(holder)}
    for field, value in predictor.items():
        if field in _MERGED_BY_NAME:
            spec[field] = _by_name(sequence(spec.get(field)), sequence(deepcopy(value)))
        elif field not in _NOT_OF_A_POD:
            spec[field] = deepcopy(value)
    if volumes:
        spec["volumes"] = list(volumes.values())
    for container in containers:
        container["env"] = [*_other_env(container), {"name": "INFERENCE_SERVICE_NAME", "value": name}]
        if container["name"] in (MODEL, SIDECAR):
            container.setdefault("readinessProbe", _default_probe(container))
    spec["containers"] = json.loads(json.dumps(containers).replace("{{.Name}}", name))
    return spec, runtime


_FROM_RUNTIME = ("nodeSelector", "tolerations", "affinity", "volumes", "imagePullSecrets", "schedulerName")
_MERGED_BY_NAME = ("volumes", "imagePullSecrets")


def _volumes(holder: Json) -> list[object]:
    return sequence(holder.get("volumes"))


def _custom(own: list[Json]) -> list[Json]:
    if not own:
        raise UnsupportedError("a predictor needs a model or containers")
    if len(own) == 1:
        own[0]["name"] = MODEL  # only then: with several, the user must have named it
    elif all(container.get("name") != MODEL for container in own):
        raise UnsupportedError(f"no container is named {MODEL}")
    return own


def _with_model(runtime: Runtime, model: Json, own: list[Json]) -> list[Json]:
    containers = [mapping(deepcopy(container)) for container in sequence(runtime.spec.get("containers"))]
    ours = {field: value for field, value in model.items() if field not in _NOT_OF_A_CONTAINER}
    if not any(container.get("name") == MODEL for container in containers):
        raise UnsupportedError(f"runtime {runtime.name} has no container named {MODEL}")
    merged = [_merged(container, ours) if container["name"] == MODEL else container for container in containers]
    for container in own:
        at = next((index for index, other in enumerate(merged) if other["name"] == container["name"]), None)
        if at is None:
            merged.append(container)
        else:
            merged[at] = _merged(merged[at], container)
    return merged


def _merged(base: Json, over: Json) -> Json:
    """A container of a runtime with what the InferenceService says: arguments are appended, env goes by name."""
    result = {**base, **{field: value for field, value in over.items() if field not in ("name", "args", "env")}}
    if "args" in base or "args" in over:
        result["args"] = [*sequence(base.get("args")), *sequence(over.get("args"))]
    if "env" in base or "env" in over:
        result["env"] = _by_name(sequence(base.get("env")), sequence(over.get("env")))
    return result


def _by_name(base: list[object], over: list[object]) -> list[object]:
    """Of entries with the same name the later one counts, in the place of the first."""
    return list({str(mapping(entry).get("name")): entry for entry in (*base, *over)}.values())


def _runtime_for(model: Json, runtimes: Sequence[Runtime]) -> Runtime:
    wanted, format_ = model.get("runtime"), mapping(model.get("modelFormat")).get("name")
    for runtime in runtimes:
        if wanted is not None and runtime.name == wanted:
            return runtime
        if wanted is None and format_ in _formats(runtime) and _speaks(runtime, model.get("protocolVersion")):
            return runtime
    raise UnsupportedError(f"no runtime found for model format {format_!r} and runtime {wanted!r}")


def _formats(runtime: Runtime) -> Iterator[object]:
    for entry in sequence(runtime.spec.get("supportedModelFormats")):
        if mapping(entry).get("autoSelect"):
            yield mapping(entry).get("name")


def _speaks(runtime: Runtime, protocol: object) -> bool:
    return (protocol or "v1") in (sequence(runtime.spec.get("protocolVersions")) or ["v1"])


def _other_env(container: Json) -> list[object]:
    return [entry for entry in sequence(container.get("env")) if mapping(entry).get("name") != "INFERENCE_SERVICE_NAME"]


def _default_probe(container: Json) -> Json:
    ports = sequence(container.get("ports"))
    port = mapping(ports[0]).get("containerPort") if ports else 8080
    return {
        "tcpSocket": {"port": port},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
