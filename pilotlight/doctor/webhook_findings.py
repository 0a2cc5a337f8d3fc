"""What is wrong with the webhooks, when they are installed: whether they are asked, and for how long they can be."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from admission.certificates import CertificateError, ends, issued_by
from admission.rotation import Lifetimes
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, objects, text
from pilotlight.doctor.finding import Finding, note, problem, warning
from pilotlight.doctor.installation_findings import INSTALL
from pilotlight.doctor.look import Absent, Got, Looked, body_of
from pilotlight.doctor.picture import Picture
from pilotlight.doctor.rights import WEBHOOK

_CHECK = "check.pilotlight.dev"
_DAY = 24 * 3600.0
_END = b"-----END CERTIFICATE-----\n"


def webhooks(picture: Picture) -> Iterator[Finding]:
    """Everything about them."""
    if not picture.webhook_installed:
        if isinstance(picture.mutating, Absent):
            yield note(
                "no-webhooks",
                WEBHOOK,
                "not installed: `pilotlight inject` has to put queue proxies into InferenceServices, and mistakes in"
                " policies are not refused at kubectl apply",
                INSTALL,
            )
        return
    for kind, looked in (("MutatingWebhookConfiguration", picture.mutating),
                         ("ValidatingWebhookConfiguration", picture.validating)):  # fmt: skip
        yield from _configuration(kind, looked, picture)
    yield from _serving(picture)
    yield from _asked(picture)


def _configuration(kind: str, looked: Looked, picture: Picture) -> Iterator[Finding]:
    subject = f"{kind} {WEBHOOK}"
    if isinstance(looked, Absent):
        yield problem("webhook-missing", subject, "there is no such object", INSTALL)
    restart = f"kubectl -n {picture.namespace} rollout restart deployment {WEBHOOK}"
    for webhook in objects(body_of(looked), "webhooks"):
        client = inner(webhook, "clientConfig")
        bundle = _decoded(text(client, "caBundle"))
        if not bundle:
            yield problem(
                "ca-bundle-empty", subject, f"{text(webhook, 'name')} has no caBundle: it is never asked", restart
            )
            continue
        where = text(inner(client, "service"), "namespace")
        if where != picture.namespace:
            yield problem(
                "webhook-elsewhere", subject, f"it leads to namespace {where}, not to {picture.namespace}", INSTALL
            )
        try:
            left = max(ends(part) for part in _parts(bundle)) - picture.now
        except (CertificateError, ValueError):
            yield problem(
                "ca-bundle-unreadable", subject, f"{text(webhook, 'name')}: its caBundle is no certificate", restart
            )
            continue
        if left <= 0:
            yield problem("ca-bundle-expired", subject, "all authorities in its caBundle have ended", restart)


def _serving(picture: Picture) -> Iterator[Finding]:
    """The serving certificate. The Secret's keys are not looked at."""
    if not isinstance(picture.secret, Got):
        return  # who may not read Secrets sees what the API server makes of the certificate
    subject = f"{picture.namespace}/{WEBHOOK}"
    logs = f"kubectl -n {picture.namespace} logs -l app.kubernetes.io/name={WEBHOOK} --tail=50"
    certificate = _decoded(text(inner(picture.secret.body, "data"), "tls.crt"))
    if not certificate:
        yield problem("certificate-missing", subject, "its Secret holds no certificate: nobody serves", logs)
        return
    try:
        left = ends(certificate) - picture.now
        known = any(issued_by(certificate, part) for part in _parts(_bundle(body_of(picture.mutating))))
    except (CertificateError, ValueError):
        yield problem("certificate-unreadable", subject, "tls.crt in its Secret is no certificate", logs)
        return
    if left <= 0:
        yield problem("certificate-expired", subject, "its certificate has ended: it is not asked any more", logs)
    elif left < Lifetimes().serving_left - _DAY:
        yield warning(
            "certificate-not-renewed", subject, f"{left / _DAY:.0f} days are left, and nobody has renewed it", logs
        )
    if not known:
        yield problem("certificate-unknown", subject, "no authority in the caBundle has signed its certificate", logs)


def _asked(picture: Picture) -> Iterator[Finding]:
    """Whether the API server gets through to them: it was asked to take a mistake, without storing it."""
    subject = f"ValidatingWebhookConfiguration {WEBHOOK}"
    match picture.tried_webhook:
        case Got():
            yield problem(
                "webhook-not-asked",
                subject,
                "the API server took an InferenceService with a mistake in its policy (dry run): it does not get"
                " through to the webhook, and failurePolicy Ignore lets everything pass",
                f"kubectl -n {picture.namespace} get endpointslices -l kubernetes.io/service-name={WEBHOOK}\n"
                "# a firewall or NetworkPolicy between API server and pods on port 8443 does this, too",
            )
        case None | Absent():
            pass
        case other if _CHECK not in other.why:
            yield note("webhook-not-tried", subject, f"whether it is asked could not be tried: {other.why}")


def _bundle(configuration: JsonObject) -> bytes:
    return next(
        (_decoded(text(inner(item, "clientConfig"), "caBundle")) for item in objects(configuration, "webhooks")), b""
    )


def _parts(bundle: bytes) -> list[bytes]:
    return [part + _END for part in bundle.split(_END) if part.strip()]


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b"not base64"
