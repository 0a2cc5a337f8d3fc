"""Puts a KubernetesCluster together: one connection, what reads from it, and what writes to it."""

from __future__ import annotations

import os
import socket
import time

from autoscaler.cluster.kubernetes.activation import Activation
from autoscaler.cluster.kubernetes.connection import Connection, Requests
from autoscaler.cluster.kubernetes.copies import Copies
from autoscaler.cluster.kubernetes.events import EventRecorder
from autoscaler.cluster.kubernetes.kubernetes_cluster import KubernetesCluster
from autoscaler.cluster.kubernetes.scaling import Scaling
from autoscaler.cluster.kubernetes.slice_store import SliceStore
from autoscaler.cluster.kubernetes.write_turns import WriteTurns

DEFAULT_NAMESPACE = "pilotlight-system"


def own_namespace() -> str:
    """The namespace that our components run in; `POD_NAMESPACE` says otherwise than `pilotlight-system`."""
    return os.environ.get("POD_NAMESPACE") or DEFAULT_NAMESPACE


def own_name() -> str:
    """What this process is called in events and leases: the pod's name."""
    return os.environ.get("POD_NAME") or socket.gethostname()


def kubernetes_cluster(reads: Connection, writes: Requests, namespace: str, instance: str) -> KubernetesCluster:
    """A cluster behind two ways to the same API server. `writes` may refuse, when this controller does not lead."""
    store, turns = SliceStore(reads, writes, namespace), WriteTurns()
    return KubernetesCluster(
        make_copies=lambda touched: Copies(reads, touched, namespace),
        make_paths=lambda hand_back, changed: Activation(store, hand_back, changed, turns),
        scaling=Scaling(writes, turns),
        events=EventRecorder(writes, instance, time.time),
    )
