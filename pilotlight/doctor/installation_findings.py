"""What is wrong with our own installation: Deployments, who leads, activators, versions, rights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, number, objects, seconds, text, texts
from autoscaler.cluster.kubernetes.lease import lease_record
from pilotlight.cluster_controller import LEASE
from pilotlight.doctor.finding import Finding, note, problem, warning
from pilotlight.doctor.look import Absent, Denied, Failed, Got, body_of, items_of, name_of
from pilotlight.doctor.picture import Picture
from pilotlight.doctor.rights import CONTROLLER, WEBHOOK

ACTIVATOR = "pilotlight-activator"
INSTALL = "kubectl apply -k manifests/overlays/kserve-standard"
_NEEDED = (CONTROLLER, ACTIVATOR)
_RENEWED_WITHIN = 30.0


def deployments(picture: Picture) -> Iterator[Finding]:
    """Each of ours: there, and rolled out."""
    if not isinstance(picture.own_deployments, Got):
        return
    there = {name_of(item): item for item in items_of(picture.own_deployments)}
    for name in _NEEDED:
        if name not in there:
            yield problem("not-installed", f"{picture.namespace}/{name}", "there is no such Deployment", INSTALL)
    for name, item in sorted(there.items()):
        yield from _rolled_out(picture.namespace, name, item)


def _rolled_out(namespace: str, name: str, item: JsonObject) -> Iterator[Finding]:
    wanted, status = number(inner(item, "spec"), "replicas", otherwise=1), inner(item, "status")
    available, updated = number(status, "availableReplicas"), number(status, "updatedReplicas")
    subject = f"{namespace}/{name}"
    reasons = [text(condition, "message") for condition in objects(status, "conditions") if _bad(condition)]
    why = f": {'; '.join(filter(None, reasons))}" if any(reasons) else ""
    look = f"kubectl -n {namespace} describe pods -l app.kubernetes.io/name={name}"
    if available == 0:
        yield problem("component-down", subject, f"none of {wanted} pods is available{why}", look)
    elif available < wanted or updated < wanted:
        yield warning(
            "component-not-rolled-out", subject, f"{available} of {wanted} pods are available, {updated} new{why}", look
        )
    elif wanted < 2:
        yield warning(
            "component-alone",
            subject,
            "it has one replica: while it is replaced nobody does its work",
            f"kubectl -n {namespace} scale deployment {name} --replicas=2",
        )


def _bad(condition: JsonObject) -> bool:
    good = "False" if text(condition, "type") == "ReplicaFailure" else "True"
    return text(condition, "status") != good


def leader(picture: Picture) -> Iterator[Finding]:
    """Somebody leads, says so, and is heard by activators."""
    subject = f"{picture.namespace}/{LEASE}"
    logs = f"kubectl -n {picture.namespace} logs -l app.kubernetes.io/name={CONTROLLER} --tail=50"
    if isinstance(picture.lease, Absent):
        yield problem("nobody-leads", subject, "there is no Lease: no controller has ever led", logs)
    if not isinstance(picture.lease, Got):
        return
    record = lease_record(picture.lease.body)
    renewed = seconds(inner(picture.lease.body, "spec"), "renewTime")
    if not record.holder:
        yield problem("nobody-leads", subject, "the Lease names nobody: nothing is woken or put to sleep", logs)
        return
    if renewed is not None and picture.now - renewed > _RENEWED_WITHIN:
        ago = picture.now - renewed
        yield problem("nobody-leads", subject, f"{record.holder} has not renewed the Lease for {ago:.0f} s", logs)
    match picture.told:
        case Got(body):
            yield from _told(picture, body)
        case Denied():
            pass  # says so itself
        case _:
            why = getattr(picture.told, "why", "it does not answer")
            yield warning(
                "leader-not-reached",
                f"{picture.namespace}/{picture.leader}",
                f"it cannot be asked through the API server ({why}); a NetworkPolicy may keep the API server out",
                f"kubectl -n {picture.namespace} port-forward {picture.leader} 7330 &\npilotlight status",
            )


def _told(picture: Picture, body: JsonObject) -> Iterator[Finding]:
    connected = set(texts(body, "activators"))
    pods = {name_of(pod) for pod in items_of(picture.own_pods) if _serves(pod, ACTIVATOR)}
    away = sorted(pods - connected)
    subject = f"{picture.namespace}/{ACTIVATOR}"
    look = f"kubectl -n {picture.namespace} logs -l app.kubernetes.io/name={ACTIVATOR} --tail=50"
    if not connected:
        yield problem("no-activator-connected", subject, "no activator is connected to the leader: none can wake", look)
    elif away:
        evidence = f"not connected to the leader: {', '.join(away)}; they serve from the last table that they were told"
        yield warning("activator-not-connected", subject, evidence, look)
    for service in objects(body, "services"):
        said = text(service, "error")
        if said and not service.get("refused"):  # else the reason for that is a finding of its own
            name = text(service, "service")
            yield warning("service-in-trouble", name, said, f"pilotlight explain --cluster {name}")
    for trouble in texts(body, "cluster_trouble"):
        yield warning("leader-in-trouble", f"{picture.namespace}/{picture.leader}", trouble)


def _serves(pod: JsonObject, component: str) -> bool:
    ours = text(inner(pod, "metadata", "labels"), "app.kubernetes.io/name") == component
    return (
        ours and text(inner(pod, "status"), "phase") == "Running" and "deletionTimestamp" not in inner(pod, "metadata")
    )


def images(picture: Picture) -> Iterator[Finding]:
    """All components are of one version."""
    found: dict[str, set[str]] = defaultdict(set)
    for deployment in items_of(picture.own_deployments):
        for container in objects(inner(deployment, "spec", "template", "spec"), "containers"):
            found[text(container, "image")].add(name_of(deployment))
    if len(found) > 1:
        which = "; ".join(f"{image}: {', '.join(sorted(names))}" for image, names in sorted(found.items()))
        yield warning(
            "versions-differ",
            picture.namespace,
            f"components are of different images ({which}); they are tried together only in one version",
            f"{INSTALL}   # with one image in its kustomization",
        )


def rights(picture: Picture) -> Iterator[Finding]:
    """Our service accounts may do what they have to."""
    unknown = [right for right, allowed in picture.rights.items() if allowed is None]
    if unknown:
        yield note(
            "rights-unknown",
            picture.namespace,
            f"{len(unknown)} of our {len(picture.rights)} rights could not be looked at: it takes the right to create"
            " subjectaccessreviews.authorization.k8s.io",
        )
    for account in (CONTROLLER, WEBHOOK):
        lacking = [str(right) for right, has in picture.rights.items() if has is False and right.account == account]
        if lacking:
            yield problem(
                "right-missing",
                f"{picture.namespace}/{account}",
                f"its service account may not: {', '.join(lacking)}",
                f"{INSTALL}   # the rules are in manifests/, file names ending in rights.yaml",
            )


def cannot_look(picture: Picture) -> Iterator[Finding]:
    """What whoever runs the doctor may not look at."""
    for what in ("kinds", "kserve", "configuration", "inference_services", "deployments", "services", "autoscalers",
                 "scaled_objects", "own_deployments", "own_pods", "lease", "told", "mutating", "validating",
                 "profiles", "daemons"):  # fmt: skip
        looked = getattr(picture, what)
        if what == "told" and (looked is picture.lease or not isinstance(looked, Denied)):
            continue  # said of the lease, or by what looks for the leader
        if isinstance(looked, Denied | Failed):
            yield warning("cannot-look", what.replace("_", " "), f"{looked.why}; nothing is said about it here")
    if not body_of(picture.version):
        yield warning("cannot-look", "version", "the API server does not say its version")
