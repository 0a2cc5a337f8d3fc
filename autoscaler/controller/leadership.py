"""Whether this controller acts, and who may speak to it: what a kind of cluster brings for several controllers at once.

On one machine there is one controller, and its socket is open to its user alone. In a cluster there are several, of
which one leads, and their port is open to whoever can reach it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from autoscaler.cluster.interface import Cluster, GpuSource


class Authenticator(Protocol):
    """Knows activators."""

    async def authenticate(self, authorization: str, activator: str) -> None:
        """Raises NotAuthenticatedError unless whoever sent this Authorization header is that activator."""
        ...


class ReplicaDoor(Protocol):
    """Where replicas may tell where they are, before the cluster does."""

    async def take(self, authorization: str, namespace: str, pod: str, address: str, peer: str) -> bool:
        """Who sends this Authorization header from `peer` says that `pod` is at `address`.

        Returns whether that is news. Raises NotAuthenticatedError when it cannot be believed, with 404 when there is no
        such pod, perhaps not yet.
        """
        ...


class Leadership(Protocol):
    """Lets one of several controllers lead."""

    @property
    def identity(self) -> str:
        """Who we are among them."""
        ...

    @property
    def leader(self) -> str:
        """Who leads, as last heard; empty: nobody, or unknown."""
        ...

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """`lead` whenever we do, and cancel it when we do not any more; until cancelled or `lead` ends by itself."""
        ...


class Alone:
    """Leadership where there is one controller."""

    identity = leader = "this controller"

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """See Leadership.run."""
        await lead()


async def always() -> None:
    """Ready at once; and nothing to announce."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A controller's place in a cluster.

    synced         returns once it knows enough to lead
    announce       while it leads, makes that known to those who look for the leader; may return at once
    authenticator  None where the socket itself lets in only who may connect
    replica_door   None where replicas' addresses are known as soon as they have any
    hosts          names under which the API is meant to be reached, beyond this machine
    gpus           who knows what the GPUs of replicas do; None: nobody is asked
    """

    cluster: Cluster
    leadership: Leadership
    synced: Callable[[], Awaitable[None]] = always
    announce: Callable[[], Awaitable[None]] = always
    authenticator: Authenticator | None = None
    replica_door: ReplicaDoor | None = None
    hosts: frozenset[str] = frozenset()
    gpus: GpuSource | None = None
