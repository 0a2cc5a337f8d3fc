"""Which cluster a command looks at: chosen as kubectl chooses it, and opened with the official client.

The client comes with the extra `cluster` and takes half a second to import, so it is imported when a cluster is asked
for and not before.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import CommandError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from autoscaler.cluster.kubernetes.connection import Connection

SYSTEM_NAMESPACE = "pilotlight-system"
_IN_CLUSTER = "in-cluster"


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """A cluster. `target` is kubeconfig files joined by colons, or `in-cluster`; `context` None: its current one.

    `namespace` is the one that Pilotlight is installed in.
    """

    target: str
    context: str | None
    namespace: str

    def __str__(self) -> str:
        context = f", context {self.context}" if self.context else ""
        return f"{'this pod' if self.target == _IN_CLUSTER else self.target}{context}"


def add_cluster(parser: argparse.ArgumentParser, *, always: bool = False) -> None:
    """The flags that choose a cluster. Unless `always`, a command looks at a cluster only when one of them is given."""
    group = parser.add_argument_group("the cluster" if always else "a cluster instead of this machine")
    if not always:
        group.add_argument("--cluster", action="store_true", help="ask the controller that leads in a cluster")
    group.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config, else this pod's own"
    )
    group.add_argument("--context", metavar="NAME", help="of the kubeconfig; default: its current one")
    group.add_argument(
        "--system-namespace",
        default=SYSTEM_NAMESPACE,
        metavar="NAME",
        help="that Pilotlight is installed in (%(default)s)",
    )


def asked_for(given: argparse.Namespace) -> bool:
    """Whether a cluster was chosen."""
    return bool(given.cluster or given.kubeconfig or given.context)


def choice(given: argparse.Namespace) -> ClusterChoice:
    """The cluster that the flags choose. Raises CommandError when there is none to be found."""
    return ClusterChoice(_target(given.kubeconfig), given.context, given.system_namespace)


def _target(kubeconfig: Path | None) -> str:
    if kubeconfig is not None:
        return str(kubeconfig)
    if os.environ.get("KUBECONFIG"):
        return os.environ["KUBECONFIG"]
    usual = Path.home() / ".kube" / "config"
    if usual.is_file():
        return str(usual)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _IN_CLUSTER
    raise CommandError(f"which cluster? There is no {usual}, and $KUBECONFIG is not set; --kubeconfig FILE names one")


@contextmanager
def needs_client() -> Iterator[None]:
    """What is imported in here comes with the extra. Raises CommandError where it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("kubernetes", "aiohttp", "cryptography"):
            raise
        raise CommandError(
            f"a cluster can be looked at with the Kubernetes client only ({error}): pip install 'pilotlight[cluster]'"
        ) from error


def opened(chosen: ClusterChoice) -> AbstractAsyncContextManager[Connection]:
    """A connection to it. Raises CommandError without the client; entering it ConnectionSettingsError."""
    with needs_client():
        from autoscaler.cluster.kubernetes.connection import open_connection
    return open_connection(chosen.target, chosen.context)
