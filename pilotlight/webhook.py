"""`pilotlight webhook`: serves the admission webhooks inside a cluster."""

from __future__ import annotations

import argparse
import os

from pilotlight import arguments
from pilotlight.errors import CommandError

_NAMESPACE = "pilotlight-system"


def add_webhook(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.description = (
        "Puts the queue proxy into InferenceServices that opted in, and refuses policies with mistakes, at the moment "
        "they are applied."
    )
    add = parser.add_argument
    add("--listen", type=arguments.address, default="0.0.0.0:8443", metavar="ADDR", help="for the API server")
    add("--image", metavar="IMAGE", help="of the queue proxy that is put in; default: that of the pod POD_NAME names")
    add(
        "--cluster",
        default="kubernetes:in-cluster",
        metavar="KIND:WHERE",
        help="kubernetes:in-cluster, or kubernetes:FILE with a kubeconfig (%(default)s)",
    )
    add(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE") or _NAMESPACE,
        metavar="NAME",
        help="that the webhook runs in; default: POD_NAMESPACE, else pilotlight-system",
    )
    add(
        "--name",
        default="pilotlight-webhook",
        metavar="NAME",
        help="of the Service, the Secret and both webhook configurations (%(default)s)",
    )


def run_webhook(given: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from admission.process import WebhookOptions
    from admission.process import run_webhook as serve
    from autoscaler.cluster.kubernetes.api_error import ApiError
    from autoscaler.cluster.kubernetes.credentials import ConnectionSettingsError

    kind, _, target = given.cluster.partition(":")
    if kind != "kubernetes" or not target:
        raise CommandError(f"--cluster {given.cluster}: must be kubernetes:in-cluster or kubernetes:FILE")
    pod = os.environ.get("POD_NAME", "")
    if not given.image and not pod:
        raise CommandError("--image is needed where POD_NAME does not name the pod that we run in")
    host, port = arguments.host_and_port(given.listen)
    try:
        return serve(WebhookOptions(host, port, given.image or "", pod, target, given.namespace, given.name))
    except (ApiError, ConnectionSettingsError) as error:
        raise CommandError(f"--cluster {given.cluster}: {error}") from error
