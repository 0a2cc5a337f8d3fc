"""One controller of several in a cluster: its connection, its candidature, its fence, and how it is found."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from autoscaler.cluster.kubernetes.connection import Requests, open_connection
from autoscaler.cluster.kubernetes.kubernetes_cluster import KubernetesCluster
from autoscaler.cluster.kubernetes.leader_slice import Announcement, announce
from autoscaler.cluster.kubernetes.leading import Elector, Fence
from autoscaler.cluster.kubernetes.lease import LeaseSettings
from autoscaler.cluster.kubernetes.opening import kubernetes_cluster, own_name, own_namespace
from autoscaler.cluster.kubernetes.token_review import ActivatorAuthenticator, TokenReviewer
from autoscaler.cluster.kubernetes.told_addresses import ToldAddresses


@dataclass(frozen=True, slots=True)
class Candidature:
    """For which Lease we stand, and where we are to be found once we lead.

    namespace, name  of the Lease, and of the Service that leads to who holds it
    identity   what we are called; empty: the pod's name. Something of chance is added: a container that was restarted
               in its pod is another candidate than the one before
    address    ours; empty: nobody needs to find us by that Service
    ports      by the names that the Service gives them
    """

    namespace: str
    name: str
    identity: str
    address: str
    ports: Mapping[str, int]


class Member:
    """What `open_member` opens. `elector` is None for a controller that leads without being asked."""

    def __init__(
        self,
        cluster: KubernetesCluster,
        elector: Elector | None,
        authenticator: ActivatorAuthenticator | None,
        told_addresses: ToldAddresses,
        writes: Requests,
        announcement: Announcement | None,
    ) -> None:
        self.cluster = cluster
        self.elector = elector
        self.authenticator = authenticator
        self.told_addresses = told_addresses
        self._writes = writes
        self._announcement = announcement

    async def announce(self) -> None:
        """While we lead: lead others to us."""
        if self._announcement is not None:
            await announce(self._writes, self._announcement)


@asynccontextmanager
async def open_member(target: str, candidature: Candidature | None, activators: str) -> AsyncIterator[Member]:
    """A controller's place in the cluster that we run in (`in-cluster`) or that a kubeconfig file names.

    `activators` is their service account, `namespace/name`; empty: nobody is asked who he is. Raises
    ConnectionSettingsError.
    """
    async with open_connection(target) as connection:
        writes: Requests = connection
        elector = None
        announcement = None
        if candidature is not None:
            identity = f"{candidature.identity or own_name()}_{secrets.token_hex(4)}"
            candidate = Elector(connection, candidature.namespace, candidature.name, identity, LeaseSettings())
            writes, elector = Fence(connection, lambda: candidate.acts_for), candidate
            if candidature.address:
                announcement = Announcement(
                    candidature.namespace, candidature.name, candidature.address, candidature.ports
                )
        authenticator = None
        if activators:
            authenticator = ActivatorAuthenticator(TokenReviewer(connection, time.monotonic), activators)
        namespace = activators.partition("/")[0] or own_namespace()
        async with kubernetes_cluster(connection, writes, namespace, own_name()) as cluster:
            # A reviewer of their own: however many strangers knock there, activators are not kept waiting.
            told_addresses = ToldAddresses(TokenReviewer(connection, time.monotonic), cluster)
            yield Member(cluster, elector, authenticator, told_addresses, writes, announcement)
