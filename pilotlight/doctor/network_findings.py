"""Who leads connections to Services. The activator gets in the path by an EndpointSlice, so somebody has to read it."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text
from pilotlight.doctor.finding import Finding, note, warning
from pilotlight.doctor.look import Failed, Got, items_of, name_of, namespace_of
from pilotlight.doctor.picture import Picture

# DaemonSets that can take kube-proxy's place. They read EndpointSlices; only kube-proxy is part of our tests.
_REPLACEMENTS = {
    "cilium": "Cilium",
    "calico-node": "Calico (eBPF)",
    "antrea-agent": "Antrea",
    "ovnkube-node": "OVN-Kubernetes",
    "kube-router": "kube-router",
    "anetd": "GKE Dataplane V2",
}
_LABEL = "k8s-app"


def service_proxies(picture: Picture) -> Iterator[Finding]:
    """kube-proxy, or what stands in for it."""
    daemons = items_of(picture.daemons)
    if any(_is(daemon, "kube-proxy") for daemon in daemons):
        return
    if any(isinstance(looked, Got) for looked in picture.asked_proxies.values()):
        yield from _silent(picture)
        return
    found = [(shown, daemon) for daemon in daemons for name, shown in _REPLACEMENTS.items() if _is(daemon, name)]
    for shown, daemon in found:
        yield note(
            "kube-proxy-replaced",
            f"{namespace_of(daemon)}/{name_of(daemon)}",
            f"no kube-proxy was found; {shown} leads connections to Services. It has to take endpoints without"
            " targetRef from slices that it does not manage",
            "kubectl get endpointslices -A -l endpointslice.kubernetes.io/managed-by=pilotlight.dev"
            "   # then send a request to a service that sleeps",
        )
    if not found and isinstance(picture.daemons, Got):  # who may not look says so himself
        yield warning(
            "kube-proxy-not-found",
            "",
            "no DaemonSet kube-proxy, nothing known in its place, and none of the nodes asked has its health port"
            " open: perhaps nobody leads connections to Services",
            "kubectl get daemonsets -A; kubectl get nodes -o wide",
        )


def _silent(picture: Picture) -> Iterator[Finding]:
    silent = sorted(node for node, looked in picture.asked_proxies.items() if isinstance(looked, Failed))
    if silent:
        yield warning(
            "kube-proxy-unwell",
            ", ".join(silent),
            "kube-proxy does not say that it is well there; clients on these nodes may be led wrongly",
            f"kubectl get --raw /api/v1/nodes/{silent[0]}:10256/proxy/healthz",
        )


def _is(daemon: JsonObject, name: str) -> bool:
    return name in (name_of(daemon), text(inner(daemon, "metadata", "labels"), _LABEL))
