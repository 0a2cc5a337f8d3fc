"""InferenceServices for the tests of the injection, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from admission.edits import edited
from admission.inject import Injection, InjectionSettings, Refusals, inject
from admission.sidecar import find_sidecar
from queue_proxy.settings import Config, parse

IMAGE = InjectionSettings("pilotlight:1")
MAIN = {"name": "kserve-container"}
NAME = "transformer-container"
TRITON = {
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "triton"},
    "spec": {
        "annotations": {"prometheus.kserve.io/port": "8002", "prometheus.kserve.io/path": "/metrics"},
        "supportedModelFormats": [{"name": "triton", "autoSelect": True}],
        "containers": [
            {"name": "kserve-container", "ports": [{"name": "h2c", "containerPort": 9000}, {"containerPort": 8002}]}
        ],
    },
}


def isvc(annotations: Mapping[str, object] | None = None, /, **predictor: object) -> dict[str, object]:
    """`team/chat`; without a predictor, one with a plain container."""
    predictor = predictor or {"containers": [{"name": "kserve-container", "image": "m"}]}
    metadata: dict[str, object] = {"name": "chat", "namespace": "team"}
    if annotations is not None:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }


def custom(**container: object) -> dict[str, object]:
    """One with a container that has these fields."""
    return isvc(containers=[{"name": "kserve-container", "image": "m", **container}])


def result(
    body: Mapping[str, object], settings: InjectionSettings = IMAGE, before: Mapping[str, object] | None = None
) -> Injection:
    """The injection; fails where it is refused."""
    injection = inject(body, settings, before=before)
    assert isinstance(injection, Injection), injection
    return injection


def injected(
    body: Mapping[str, object], settings: InjectionSettings = IMAGE, before: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """The object after it."""
    return edited(body, result(body, settings, before).edits)


def sidecar_in(body: Mapping[str, Any]) -> dict[str, Any]:
    """Its sidecar, which must be the last container."""
    containers: list[dict[str, Any]] = body["spec"]["predictor"]["containers"]
    assert find_sidecar(containers) == len(containers) - 1
    return containers[-1]


def refusals(body: Mapping[str, object], settings: InjectionSettings = IMAGE) -> str:
    """Why it is refused; fails where it is not."""
    refused = inject(body, settings)
    assert isinstance(refused, Refusals), refused
    return "\n".join(map(str, refused.reasons))


def told(body: Mapping[str, Any]) -> Config:
    """What the queue proxy makes of its arguments, as kubelet would hand them over."""
    known = {"POD_NAME": "chat-1", "POD_NAMESPACE": "team", "POD_IP": "10.0.0.7"}

    def fill(reference: re.Match[str]) -> str:
        return "$" if reference[0] == "$$" else known.get(reference[1], reference[0])

    return parse([re.sub(r"\$\$|\$\(([^)]*)\)", fill, argument) for argument in sidecar_in(body)["args"]])


def patched(document: Any, patch: list[dict[str, Any]]) -> Any:
    """JSON Patch as RFC 6902 says it, for the operations that are used."""
    for step in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        inner = document
        for part in parents:
            inner = inner[int(part)] if isinstance(inner, list) else inner[part]
        if isinstance(inner, list):
            assert step["op"] == "add"
            inner.insert(int(last), step["value"])
        else:
            assert step["op"] == "add" or last in inner
            inner[last] = step["value"]
    return document
