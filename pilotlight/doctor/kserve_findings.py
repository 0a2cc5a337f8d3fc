"""What is wrong with the API server and with KServe: versions, kinds, and the settings of its that matter to us."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from autoscaler.cluster.kubernetes.facts import INFERENCE_SERVICE_LABEL
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, number, objects, text
from autoscaler.cluster.kubernetes.ownership import OLDEST_KSERVE
from autoscaler.cluster.kubernetes.reduction import kserve_facts
from autoscaler.policy import keys_knative, keys_pilotlight
from pilotlight.doctor.finding import Finding, merge_patch, note, problem, warning
from pilotlight.doctor.look import Absent, Got, body_of, items_of, name_of, namespace_of
from pilotlight.doctor.picture import Picture

# The webhooks' matchConditions are generally available from there on.
OLDEST_KUBERNETES = (1, 30)
CONFIG = "inferenceservice-config"
_OLDEST = ".".join(map(str, OLDEST_KSERVE))
_STANDARD = ("Standard", "RawDeployment")
_LIST = "serviceAnnotationDisallowedList"
# What KServe's own configuration has in that list: whoever writes the list replaces it.
_KSERVES_OWN = (
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/max-scale",
    "internal.serving.kserve.io/storage-initializer-sourceuri",
    "kubectl.kubernetes.io/last-applied-configuration",
    "modelFormat",
)
OUR_ANNOTATIONS = tuple(
    name for key in (*keys_pilotlight.KEYS, *keys_knative.KEYS) for name in (key.name, *key.spellings)
)
"""Every annotation that a policy is written in. KServe's own are left out: it must see them on what it makes."""
_ROUTE_SECONDS = 60


def api_server(picture: Picture) -> Iterator[Finding]:
    """Its version."""
    said = body_of(picture.version)
    digits = [re.match(r"\d+", text(said, part)) for part in ("major", "minor")]
    if None in digits:
        yield note("kubernetes-version-unknown", "", f"the API server says {text(said, 'gitVersion') or 'no version'}")
        return
    found = tuple(int(match.group()) for match in digits if match)
    if found < OLDEST_KUBERNETES:
        yield warning(
            "kubernetes-too-old",
            "",
            f"Kubernetes {text(said, 'gitVersion')}: the webhooks need {_dotted(OLDEST_KUBERNETES)} or later; the rest"
            " is not tried with older ones",
            "leave out manifests/components/webhook, and use `pilotlight inject` and `pilotlight check`",
        )


def kinds(picture: Picture) -> Iterator[Finding]:
    """KServe's definitions."""
    there = {text(kind, "name") for kind in objects(body_of(picture.kinds), "resources")}
    if isinstance(picture.kinds, Absent) or (isinstance(picture.kinds, Got) and "inferenceservices" not in there):
        yield problem(
            "kserve-missing",
            "inferenceservices.serving.kserve.io",
            "the API server does not know InferenceServices (serving.kserve.io/v1beta1), so there is nothing to scale",
            f"install KServe {_OLDEST} or later in Standard mode",
        )


def controllers(picture: Picture) -> Iterator[Finding]:
    """KServe's own controller and its version."""
    found = items_of(picture.kserve)
    if isinstance(picture.kserve, Got) and not found and isinstance(picture.kinds, Got):
        yield warning(
            "kserve-controller-not-found",
            "",
            "no Deployment has the label control-plane=kserve-controller-manager, so its version is not known and"
            " perhaps nobody makes Deployments of InferenceServices",
            f"kubectl get deployments -A | grep kserve   # {_OLDEST} or later is needed",
        )
    for deployment in found:
        subject = f"{namespace_of(deployment)}/{name_of(deployment)}"
        facts = kserve_facts(deployment)
        if facts is None or facts.version is None:
            images = ", ".join(_images(deployment))
            yield note("kserve-version-unknown", subject, f"its image ({images}) names no version; {_OLDEST} is needed")
        elif facts.version < OLDEST_KSERVE:
            yield problem(
                "kserve-too-old",
                subject,
                f"KServe {_dotted(facts.version)} writes replicas although the autoscaler class is external",
                f"upgrade KServe to {_OLDEST} or later",
            )
        if not number(inner(deployment, "status"), "availableReplicas"):
            yield problem(
                "kserve-controller-down",
                subject,
                "none of its pods is available: InferenceServices are not reconciled, and changes have no effect",
                f"kubectl -n {namespace_of(deployment)} describe deployment {name_of(deployment)}",
            )


def configuration(picture: Picture) -> Iterator[Finding]:
    """inferenceservice-config."""
    namespace = picture.kserve_namespace
    subject = f"{namespace}/{CONFIG}"
    if isinstance(picture.configuration, Absent):
        yield warning(
            "kserve-configuration-missing",
            subject,
            "there is no such ConfigMap: its settings cannot be looked at",
            f"kubectl get configmaps -A --field-selector metadata.name={CONFIG}",
        )
    if not isinstance(picture.configuration, Got):
        return
    data = inner(picture.configuration.body, "data")
    for entry in ("deploy", "service", "ingress", "inferenceService"):
        if entry in data and setting(data, entry) is None:
            yield problem("kserve-configuration-unreadable", subject, f"its entry {entry} is not a JSON object")
    yield from _mode(setting(data, "deploy") or {}, namespace, subject)
    yield from _headless(setting(data, "service") or {}, namespace, subject)
    yield from _annotations(picture, setting(data, "inferenceService"), namespace, subject)


def _mode(deploy: Mapping[str, object], namespace: str, subject: str) -> Iterator[Finding]:
    mode = deploy.get("defaultDeploymentMode")
    if mode not in _STANDARD:
        yield warning(
            "default-mode-not-standard",
            subject,
            f"InferenceServices that name no mode get {mode or 'Knative'}, which Pilotlight refuses",
            merge_patch(
                namespace, f"configmap {CONFIG}", _entry("deploy", {**deploy, "defaultDeploymentMode": "Standard"})
            )
            + "\n# or on each InferenceService: serving.kserve.io/deploymentMode: Standard",
        )


def _headless(service: Mapping[str, object], namespace: str, subject: str) -> Iterator[Finding]:
    if service.get("serviceClusterIPNone") is True:
        yield problem(
            "headless-by-default",
            subject,
            "serviceClusterIPNone is true: Services get no address of their own, so nobody can stand in for pods that"
            " are not there",
            merge_patch(namespace, f"configmap {CONFIG}", _entry("service", {**service, "serviceClusterIPNone": False}))
            + "\n# a Service keeps what it was made with: delete those that exist, and KServe makes them anew",
        )


def _annotations(
    picture: Picture, entry: Mapping[str, object] | None, namespace: str, subject: str
) -> Iterator[Finding]:
    listed = entry.get(_LIST) if entry is not None else None
    there = tuple(name for name in listed if isinstance(name, str)) if isinstance(listed, list) else _KSERVES_OWN
    missing = [name for name in OUR_ANNOTATIONS if name not in there]
    if not missing:
        return
    rolling = sorted(_annotated(items_of(picture.deployments), missing))
    once = f"; on entering the list {_few(rolling)} roll once" if rolling else "; no predictor has one of them yet"
    wanted = {**(entry or {}), _LIST: [*there, *missing]}
    yield warning(
        "policy-edits-restart-pods",
        subject,
        f"{len(missing)} of our {len(OUR_ANNOTATIONS)} annotations are not in {_LIST}, for example {missing[0]}: KServe"
        f" copies them into pods, so that each edit restarts GPU pods{once}",
        merge_patch(namespace, f"configmap {CONFIG}", _entry("inferenceService", wanted)),
    )


def _annotated(deployments: tuple[JsonObject, ...], names: list[str]) -> Iterator[str]:
    """InferenceServices whose pods carry one of these annotations."""
    for deployment in deployments:
        metadata = inner(deployment, "spec", "template", "metadata")
        if not inner(metadata, "annotations").keys().isdisjoint(names):
            name = text(inner(deployment, "metadata", "labels"), INFERENCE_SERVICE_LABEL) or name_of(deployment)
            yield f"{namespace_of(deployment)}/{name}"


def route_seconds(picture: Picture) -> int | None:
    """After how long KServe's HTTPRoutes end a request of a service that says nothing; None: there are none."""
    ingress = setting(inner(body_of(picture.configuration), "data"), "ingress") or {}
    routes = ingress.get("enableGatewayApi") is True and ingress.get("disableIngressCreation") is not True
    return _ROUTE_SECONDS if routes and ingress.get("disableHTTPRouteTimeout") is not True else None


def setting(data: JsonObject, entry: str) -> Mapping[str, object] | None:
    """An entry of KServe's configuration, which is JSON in text; None where it is absent or cannot be read."""
    try:
        body: object = json.loads(text(data, entry) or "null")
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _entry(name: str, body: Mapping[str, object]) -> Mapping[str, object]:
    return {"data": {name: json.dumps(body, ensure_ascii=False)}}


def _images(deployment: JsonObject) -> Iterator[str]:
    yield from (text(item, "image") for item in objects(inner(deployment, "spec", "template", "spec"), "containers"))


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:5])} and {len(names) - 5} more"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
