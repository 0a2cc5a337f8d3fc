"""The activators: who of them takes connections, as their pods tell.

Pods and not the slices of their own Service are watched, because those say the same later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, objects, text
from autoscaler.cluster.kubernetes.slices import Endpoint


@dataclass(frozen=True, slots=True)
class ActivatorPod:
    """One activator's pod. `addresses` has at most one of each family; `ending`: it was told to end; `over`: it has."""

    name: str
    node: str
    addresses: tuple[str, ...]
    ready: bool
    ending: bool
    over: bool = False


@dataclass(frozen=True, slots=True)
class Activators:
    """Whom slices shall name, and which of those addresses are known to take connections."""

    endpoints: tuple[Endpoint, ...] = ()
    ready: frozenset[str] = frozenset()

    def of_family(self, family: str) -> tuple[Endpoint, ...]:
        """Those with an address of that family."""
        return tuple(endpoint for endpoint in self.endpoints if (":" in endpoint.address) == (family == "IPv6"))


def activator_pod_of(pod: JsonObject) -> ActivatorPod:
    """What matters of an activator's pod."""
    metadata, status = inner(pod, "metadata"), inner(pod, "status")
    conditions = {text(entry, "type"): text(entry, "status") for entry in objects(status, "conditions")}
    addresses = tuple(text(entry, "ip") for entry in objects(status, "podIPs")) or (text(status, "podIP"),)
    return ActivatorPod(
        name=text(metadata, "name"),
        node=text(inner(pod, "spec"), "nodeName"),
        addresses=tuple(address for address in addresses if address),
        ready=conditions.get("Ready") == "True",
        ending="deletionTimestamp" in metadata,
        over=text(status, "phase") in ("Succeeded", "Failed"),
    )


def activators_of(
    pods: Iterable[ActivatorPod], still_open: Collection[str] = (), silent: Collection[str] = ()
) -> Activators:
    """Ready activators; where none is, those of `still_open` (names of pods that are ending); else those there are.

    Without those that are `silent`, as long as another one is not: all of them are when it is the controller that hears
    nobody.
    Who was told to end takes connections for some seconds more, in which others start: all of them at once may be
    deleted, or drained from their nodes. And when all at once are said not to be ready, it may well be the saying that
    is wrong; an address that may answer is better for a service that sleeps than none, which certainly refuses.
    """
    known = sorted((pod for pod in pods if pod.addresses and not pod.over), key=lambda pod: pod.name)
    there = [pod for pod in known if not pod.ending]
    ready = [pod for pod in there if pod.ready]
    ready = [pod for pod in ready if pod.name not in silent] or ready
    named = ready or [pod for pod in known if pod.ending and pod.name in still_open] or there
    return Activators(
        endpoints=tuple(Endpoint(address, pod.node) for pod in named for address in pod.addresses),
        ready=frozenset(address for pod in ready for address in pod.addresses),
    )
