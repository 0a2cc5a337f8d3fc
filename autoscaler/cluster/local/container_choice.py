"""The one container that serves, whichever of KServe's two ways the InferenceService writes it in.

A custom predictor states its container (`spec.predictor.containers`); a model names a format or a ServingRuntime
(`spec.predictor.model`), whose container is merged with the model's settings. What one machine cannot do, such as
transformers, several nodes, or sidecars, is refused by name here: a replica that lacks half of its manifest is worse
than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.placeholders import ObjectMeta, fill_templates, has_templates
from autoscaler.policy.names import MODEL_CONTAINER
from autoscaler.serving.fields import Fields
from autoscaler.serving.runtimes import choose_runtime, merge_container, serving_container

# Short forms of `model` from before KServe had runtimes.
_FRAMEWORKS = (
    "sklearn",
    "xgboost",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME_RULE = "must have at most 63 lower-case letters, digits and dashes, not begin or end with a dash"
_REFUSED_PARTS = ("transformer", "explainer")
_REFUSED_PREDICTOR = ("workerSpec", "initContainers", "storageUris", "resourceClaims")
_HARMLESS_VOLUMES = ("emptyDir", "hostPath")


@dataclass(frozen=True, slots=True)
class ServingContainer:
    """The container, merged and with templates filled in; the object's annotations as its pods would have them."""

    fields: Fields
    annotations: Mapping[str, str]
    storage_uri: str | None
    storage_field: str
    warnings: tuple[str, ...]


def read_meta(inference_service: Fields) -> ObjectMeta:
    """Name, namespace, labels and annotations of the object."""
    metadata = inference_service.within("metadata")
    name = metadata.text("name")
    if not name:
        raise LaunchError(f"{metadata.at('name')} is missing")
    # Kubernetes' own rule; files and processes are named after these two, so nothing else may get through.
    if not _NAME.fullmatch(name):
        raise LaunchError(f"{metadata.at('name')} {_NAME_RULE}, and begin with a letter, not {name!r:.80}")
    namespace = metadata.text("namespace") or "default"
    if not _NAMESPACE.fullmatch(namespace):
        raise LaunchError(f"{metadata.at('namespace')} {_NAME_RULE}, not {namespace!r:.80}")
    return ObjectMeta(
        name=name,
        namespace=namespace,
        labels=metadata.table("labels"),
        annotations=metadata.table("annotations"),
    )


def choose_container(
    inference_service: Fields, meta: ObjectMeta, runtimes: Sequence[Mapping[str, object]]
) -> ServingContainer:
    """The serving container of an InferenceService. Raises LaunchError."""
    spec = inference_service.within("spec")
    predictor = spec.within("predictor")
    _refuse(spec, predictor)
    component = predictor.table("annotations")
    if "model" in predictor:
        return _from_runtime(predictor, meta, component, runtimes)
    containers = predictor.objects("containers")
    if not containers:
        raise LaunchError(
            f"{predictor.where} must have containers (with a command) or a model (with a ServingRuntime in the files)"
        )
    return _custom(containers, meta, {**meta.annotations, **component}, _volume_warnings(predictor))


def _from_runtime(
    predictor: Fields, meta: ObjectMeta, component: Mapping[str, str], runtimes: Sequence[Mapping[str, object]]
) -> ServingContainer:
    model = predictor.within("model")
    if "storage" in model:
        raise LaunchError(f"{model.at('storage')} is not supported on one machine; write storageUri: file:///path")
    runtime = choose_runtime(model, meta.namespace, runtimes)
    container = serving_container(runtime)
    others = [c.text("name") or "?" for c in runtime.within("spec").objects("containers") if c.where != container.where]
    if others:
        raise LaunchError(
            f"{runtime.at('spec.containers')}: {', '.join(others)}: only the serving container can run here"
        )
    merged = fill_templates(merge_container(container, model), meta, container.where)
    runtime_spec = runtime.within("spec")
    return ServingContainer(
        fields=Fields(merged, container.where),
        annotations={**runtime_spec.table("annotations"), **meta.annotations, **component},
        storage_uri=model.text("storageUri"),
        storage_field=model.at("storageUri"),
        warnings=(*_volume_warnings(predictor), *_volume_warnings(runtime_spec)),
    )


def _custom(
    containers: Sequence[Fields], meta: ObjectMeta, annotations: Mapping[str, str], warnings: tuple[str, ...]
) -> ServingContainer:
    serving = [c for c in containers if c.text("name") == MODEL_CONTAINER] or list(containers[:1])
    container = serving[0]
    others = [c.text("name") or c.where for c in containers if c.where != container.where]
    if others:
        raise LaunchError(
            f"{container.where} has company: {', '.join(others)}: only the serving container can run here"
        )
    # KServe takes the place of the model of a custom predictor from this variable.
    storage = [e for e in container.objects("env") if e.text("name") == "STORAGE_URI"]
    texts = (*container.texts("command"), *container.texts("args"))
    if any(map(has_templates, texts)):
        text = next(filter(has_templates, texts))
        warnings += (f"{container.where}: {text!r} stays as it is: KServe fills in templates of ServingRuntimes only",)
    return ServingContainer(
        fields=container,
        annotations=annotations,
        storage_uri=storage[0].text("value") if storage else None,
        storage_field=storage[0].at("value") if storage else "",
        warnings=warnings,
    )


def _refuse(spec: Fields, predictor: Fields) -> None:
    unsupported = [spec.at(part) for part in _REFUSED_PARTS if part in spec]
    unsupported += [predictor.at(name) for name in _REFUSED_PREDICTOR if name in predictor]
    if unsupported:
        raise LaunchError(f"not supported on one machine: {', '.join(unsupported)}")
    for framework in _FRAMEWORKS:
        if framework in predictor:
            raise LaunchError(
                f"{predictor.at(framework)} is KServe's old short form; write {predictor.at('model')} with "
                f"modelFormat: {{name: {framework}}} instead"
            )


def _volume_warnings(pod: Fields) -> tuple[str, ...]:
    warnings = []
    for volume in pod.objects("volumes"):
        kinds = [kind for kind in volume if kind != "name"]
        if any(kind not in _HARMLESS_VOLUMES for kind in kinds):
            raise LaunchError(
                f"{volume.where}: a volume of kind {', '.join(kinds)} does not exist on one machine; put the files "
                "where the command finds them and remove the volume"
            )
        warnings.append(f"{volume.where}: volumes are not mounted here; the process sees this machine's own files")
    return tuple(warnings)
