"""Which ServingRuntime serves a model, and what its container becomes with the model's own settings on top.

KServe's rules, so that a manifest means here what it means in a cluster: a runtime that is named is taken; otherwise
one whose `supportedModelFormats` has the format with `autoSelect`, speaks the protocol, and is not disabled, those of
the namespace before those of the cluster, then by priority, then by name. Containers are merged field by field;
`env` by name; `args` of both follow one another, the runtime's first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler.policy.names import MODEL_CONTAINER
from autoscaler.serving.fields import FieldError, Fields

# Fields of `spec.predictor.model` that are not the container's.
_MODEL_FIELDS = frozenset(
    {"modelFormat", "runtime", "runtimeVersion", "storageUri", "storage", "protocolVersion", "name"}
)
_NAMED_LISTS = {"env": "name", "ports": "containerPort", "volumeMounts": "mountPath"}


def choose_runtime(model: Fields, namespace: str, runtimes: Sequence[Mapping[str, object]]) -> Fields:
    """The ServingRuntime or ClusterServingRuntime for `model` (the object at spec.predictor.model).

    Raises FieldError when none fits: names those that were looked at.
    """
    candidates = [runtime for runtime in map(_named, runtimes) if _visible(runtime, namespace)]
    candidates.sort(key=lambda runtime: (runtime.raw("kind") != "ServingRuntime", _name(runtime)))
    known = ", ".join(_name(runtime) for runtime in candidates) or "none"
    wanted = model.text("runtime")
    if wanted is not None:
        for runtime in candidates:
            if _name(runtime) == wanted:
                return _usable(runtime)
        raise FieldError(
            f"{model.at('runtime')}: there is no ServingRuntime {wanted!r} in the given files (there: {known}); "
            "add its manifest with -f"
        )
    fitting = [runtime for runtime in candidates if _supports(runtime, model)]
    if not fitting:
        raise FieldError(
            f"{model.at('modelFormat')}: no ServingRuntime in the given files selects itself for the format "
            f"{_format(model)} with protocol {_protocol(model)} (there: {known}); add one with -f, name one in "
            f"{model.at('runtime')}, or write a container with a command in spec.predictor.containers"
        )
    name = model.within("modelFormat").text("name")
    fitting.sort(key=lambda runtime: (runtime.raw("kind") != "ServingRuntime", -_priority(runtime, name)))
    return _usable(fitting[0])


def serving_container(runtime: Fields) -> Fields:
    """The container of a runtime that serves the model: `kserve-container`, or the only one there is."""
    containers = runtime.within("spec").objects("containers")
    for container in containers:
        if container.text("name") == MODEL_CONTAINER:
            return container
    if len(containers) == 1:
        return containers[0]
    raise FieldError(f"{runtime.at('spec.containers')} must have a container named {MODEL_CONTAINER}")


def merge_container(runtime: Fields, model: Fields) -> dict[str, object]:
    """The runtime's container with the settings of `spec.predictor.model` merged over it."""
    merged = {name: runtime.raw(name) for name in runtime}
    for name in model:
        if name in _MODEL_FIELDS:
            continue
        if name == "args":
            merged[name] = [*runtime.texts("args"), *model.texts("args")]
        elif name in _NAMED_LISTS:
            merged[name] = _merge_by_key(runtime.objects(name), model.objects(name), _NAMED_LISTS[name])
        else:
            merged[name] = _merge(merged.get(name), model.raw(name))
    return merged


def _merge(below: object, above: object) -> object:
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return {**below, **{name: _merge(below.get(name), value) for name, value in above.items()}}
    return above


def _merge_by_key(below: Sequence[Fields], above: Sequence[Fields], key: str) -> list[object]:
    merged: dict[object, dict[str, object]] = {}
    for item in (*below, *above):
        if key not in item:
            raise FieldError(f"{item.at(key)} is missing")
        # A variable that takes its value from elsewhere and one that states it exclude each other.
        own = {name: item.raw(name) for name in item}
        kept = {} if key == "name" else merged.get(item.raw(key), {})
        merged[item.raw(key)] = {**kept, **own}
    return list(merged.values())


def _named(body: Mapping[str, object]) -> Fields:
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return Fields(body, f"{body.get('kind', 'ServingRuntime')} {name}")


def _name(runtime: Fields) -> str:
    name = runtime.within("metadata").text("name")
    if not name:
        raise FieldError(f"{runtime.at('metadata.name')} is missing")
    return name


def _visible(runtime: Fields, namespace: str) -> bool:
    if runtime.raw("kind") == "ClusterServingRuntime":
        return True
    return (runtime.within("metadata").text("namespace") or "default") == namespace


def _supports(runtime: Fields, model: Fields) -> bool:
    spec = runtime.within("spec")
    protocols = spec.texts("protocolVersions")
    if spec.flag("disabled") or spec.flag("multiModel") or (protocols and _protocol(model) not in protocols):
        return False
    wanted = model.within("modelFormat")
    return any(
        supported.flag("autoSelect")
        and supported.text("name") == wanted.text("name")
        and wanted.text("version") in (None, supported.text("version"))
        for supported in spec.objects("supportedModelFormats")
    )


def _priority(runtime: Fields, format_name: str | None) -> int:
    formats = runtime.within("spec").objects("supportedModelFormats")
    return max((f.number("priority") or 0 for f in formats if f.text("name") == format_name), default=0)


def _usable(runtime: Fields) -> Fields:
    spec = runtime.within("spec")
    if spec.flag("disabled"):
        raise FieldError(f"{runtime.at('spec.disabled')} is true: this runtime may not be used")
    for name in ("workerSpec", "builtInAdapter"):
        if name in spec:
            raise FieldError(f"{runtime.at('spec')}.{name} is not supported")
    if spec.flag("multiModel"):
        raise FieldError(f"{runtime.at('spec.multiModel')} is not supported: one replica serves one model here")
    return runtime


def _protocol(model: Fields) -> str:
    return model.text("protocolVersion") or "v1"


def _format(model: Fields) -> str:
    model_format = model.within("modelFormat")
    name = model_format.text("name")
    if not name:
        raise FieldError(f"{model_format.at('name')} is missing")
    version = model_format.text("version")
    return f"{name} {version}" if version else name
