"""Whether what policies ask of GPUs can be known."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.cluster.kubernetes.json_object import inner
from autoscaler.policy.keys_pilotlight import DOMAIN
from pilotlight.doctor.finding import Finding, note, problem, warning
from pilotlight.doctor.look import Absent, Denied, Got, items_of, name_of, namespace_of
from pilotlight.doctor.picture import Picture

_GPU_KEYS = (f"{DOMAIN}gpu-busy", f"{DOMAIN}gpu-utilization-target")


def gpus(picture: Picture) -> Iterator[Finding]:
    """Prometheus answers, and has series of DCGM's or AMD's exporter."""
    asking = list(_asking(picture))
    metrics = picture.gpus
    who = f"; {', '.join(asking[:5])} ask for them" if asking else "; no policy asks for them"
    say = problem if asking else note
    match metrics.looked:
        case Absent() if not metrics.url:
            yield say(
                "gpu-metrics-not-read",
                "",
                f"the controller was told of no Prometheus, so what GPUs do is not known{who}",
                "# in your kustomization:\ncomponents: [../manifests/components/gpu-metrics]",
            )
        case Got() if not metrics.names:
            yield (warning if asking else note)(
                "gpu-series-missing",
                metrics.url,
                f"Prometheus answers and has no series of GPUs{who}",
                "# scrape NVIDIA's dcgm-exporter (port 9400) or AMD's device-metrics-exporter (port 5000) with the"
                " labels pod and namespace",
            )
        case Got():
            pass
        case Denied(why):
            yield note("prometheus-not-tried", metrics.url, f"it answers only to whom it knows: {why}{who}")
        case other:
            why = getattr(other, "why", "there is nothing at this address")
            yield say("prometheus-not-reached", metrics.url, f"Prometheus does not answer: {why}{who}")


def _asking(picture: Picture) -> Iterator[str]:
    for item in items_of(picture.inference_services):
        holders = (inner(item, "metadata"), inner(item, "spec", "predictor"))
        if any(inner(holder, "annotations").get(key, "0") != "0" for holder in holders for key in _GPU_KEYS):
            yield f"{namespace_of(item)}/{name_of(item)}"
