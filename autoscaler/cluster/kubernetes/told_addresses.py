"""Told addresses: where a pod is, by its own word, before the API server knows.

Kubelet tells the API server of a pod's address up to a second and more after its containers were started. Its queue
proxy knows at once, and tells us. What it says leads requests there, so it is believed of a pod only

- from the very address that it names: nobody can have requests led to somebody else;
- with a token that the API server has made for just this pod, by name and UID: nobody speaks for another's pod;
- for a pod of a predictor that is not ready: nobody redirects what is served already. Where such a pod is known to be
  elsewhere, its network has been made anew.

Whoever else asks costs nothing: only for such a pod is the API server asked whose token it is. Of one that is ready at
another address, kubelet may not have told yet that it is no longer: it may ask again.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

from autoscaler.cluster.interface import NotAuthenticatedError
from autoscaler.cluster.kubernetes.facts import PodFacts
from autoscaler.cluster.kubernetes.token_review import TokenReviewer


class Pods(Protocol):
    """Knows the pods of predictors. See Copies."""

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        """A pod that is not about to end, with its address as far as anybody has told it; None without one."""
        ...

    def address_told(self, namespace: str, pod: str, uid: str, address: str) -> bool:
        """Take this for its address until the API server knows it. False when nobody waits for it any more."""
        ...


class ToldAddresses:
    """Takes a queue proxy's word for the address of its pod: a ReplicaDoor."""

    def __init__(self, reviewer: TokenReviewer, pods: Pods) -> None:
        self._reviewer = reviewer
        self._pods = pods

    async def take(self, authorization: str, namespace: str, pod: str, address: str, peer: str) -> bool:
        """See ReplicaDoor.take."""
        said, came_from = _parsed(address), _parsed(peer)
        if said is None or said != came_from:
            raise NotAuthenticatedError(403, f"it says that it is at {address!r:.80}, and comes from {peer!r:.80}")
        facts = self._pods.pod(namespace, pod)
        if facts is None:
            raise NotAuthenticatedError(404, "no such pod is known here")
        if facts.ip and _parsed(facts.ip) == said:
            return False
        if facts.ready_at is not None:
            raise NotAuthenticatedError(409, "it is known to be ready at another address")
        owner = await self._reviewer.owner(authorization)
        in_namespace = owner.user.startswith(f"system:serviceaccount:{namespace}:")
        if not in_namespace or (owner.pod, owner.pod_uid) != (pod, facts.uid):
            whose = f"pod {owner.pod} ({owner.pod_uid or 'of no UID'})" if owner.pod else "no pod"
            raise NotAuthenticatedError(403, f"the token is made for {whose} of {owner.user:.200}")
        return self._pods.address_told(namespace, pod, facts.uid, str(said))


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
