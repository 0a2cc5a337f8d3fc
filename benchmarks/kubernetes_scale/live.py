"""A thousand services with three thousand pods through a real API server, and a real controller and activator.

Pods are KWOK's: everything but kubelets is real. Their addresses are led to one process that answers as all their queue
proxies, so that the controller reads three thousand of them every second, as it would.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks.kubernetes_scale.objects import (
    ACCOUNT,
    REPLICAS,
    SYSTEM_NAMESPACE,
    service_objects,
    system,
)
from benchmarks.kubernetes_scale.processes import Evaluations, cpu_seconds, descendant, evaluations, resident_mib
from tests.cluster.audit import service_account
from tests.cluster.cluster import Cluster
from tests.cluster.kwok import fake_nodes
from tests.cluster.processes import wait_until

_REPOSITORY = Path(__file__).parents[2]
_CRDS = "tests/kubernetes/kserve/crds.yaml"
_RIGHTS = "manifests/base/controller-rights.yaml"
_FAKE_PODS = "198.18.128.0/17"
_API = 7330
_AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class Start:
    """Of a controller that begins.

    known_after  seconds from its start to its first decisions on all services
    processor    seconds of processor that it used until then
    refused      requests to the API server that were not answered as they should be, until it was at rest
    """

    known_after: float
    processor: float
    refused: int


@dataclass(frozen=True, slots=True)
class Live:
    """What was measured.

    first          the start of the first controller, which makes all slices
    successor      of one that takes over when that is killed, and finds replicas and an activator with a past
    cores          of the controller, on average over `seconds` at rest; activator_cores likewise
    passes         milliseconds for deciding on every service once, one for each period watched
    requests       to the API server at rest in a minute, by verb and resource
    """

    services: int
    pods: int
    seconds: float
    first: Start
    successor: Start
    cores: float
    activator_cores: float
    resident_mib: float
    passes: tuple[float, ...]
    requests: Counter[str]


def measure(cluster: Cluster, services: int, seconds: float, passes: int) -> Live:
    """On a cluster of one node, with a long grace. Raises ClusterError."""
    pods = _fill(cluster, services)
    subprocess.run(cluster.in_node(1, ["ip", "route", "add", "local", _FAKE_PODS, "dev", "lo"]), check=True)
    names = cluster.run / "pods.json"
    names.write_text(json.dumps(pods))
    _start(cluster, "benchmarks.kubernetes_scale.replicas", [str(names)])
    control = cluster.run / "control.sock"
    kubeconfig = cluster.credentials(SYSTEM_NAMESPACE, ACCOUNT)
    flags = [
        f"--cluster=kubernetes:{kubeconfig}",
        f"--control=unix:{control}",
        f"--api=127.0.0.1:{_API}",
        f"--activators={SYSTEM_NAMESPACE}/pilotlight-activator",
    ]
    token = cluster.run / "activator.token"
    token.touch(mode=0o600)
    audience = "--audience=pilotlight-controller"
    token.write_text(cluster.kubectl("create", "token", "pilotlight-activator", "-n", SYSTEM_NAMESPACE, audience))
    link = [f"--control=unix:{control}", f"--control-token={token}", "--admin=127.0.0.1:7340", "--bind=127.0.0.1"]
    activator = _start(cluster, "activator", ["--name=one", *link])
    with cluster.inside():
        controller, first = _begun(cluster, flags, services)
        mark, before, busy, other = (
            cluster.audit.mark(),
            time.monotonic(),
            cpu_seconds(controller),
            cpu_seconds(activator),
        )
        time.sleep(seconds)
        lasted = time.monotonic() - before
        used, others = cpu_seconds(controller) - busy, cpu_seconds(activator) - other
        events = list(cluster.audit.events(mark, service_account(SYSTEM_NAMESPACE, ACCOUNT)))
        resident, watched = resident_mib(controller), tuple(_passes(services, passes))
        os.kill(controller, signal.SIGKILL)
        _, successor = _begun(cluster, flags, services)
        return Live(
            services=services,
            pods=len(pods),
            seconds=lasted,
            first=first,
            successor=successor,
            cores=used / lasted,
            activator_cores=others / lasted,
            resident_mib=resident,
            passes=watched,
            requests=Counter(
                f"{event.verb} {event.resource}{f' ({event.code})' if event.code >= 400 else ''}" for event in events
            ),
        )


def _begun(cluster: Cluster, flags: list[str], services: int) -> tuple[int, Start]:
    """A controller's process, at rest, and how it came there. Raises ClusterError."""
    log, mark, began = cluster.run / "autoscaler.controller.log", cluster.audit.mark(), time.monotonic()
    controller = _start(cluster, "autoscaler.controller", flags)
    wait_until(lambda: _decided_on() == services, "decisions on all services", 120, log)
    known_after, processor = time.monotonic() - began, cpu_seconds(controller)
    slices = "--selector=endpointslice.kubernetes.io/managed-by=pilotlight.dev"
    listing = ("get", "endpointslices", "-A", slices, "-o=name")
    wait_until(lambda: len(cluster.kubectl(*listing).split()) >= services, "slices for all services", 240, log)
    time.sleep(15)  # nothing is left of the start
    events = cluster.audit.events(mark, service_account(SYSTEM_NAMESPACE, ACCOUNT))
    refused = sum(event.code == 429 or event.code >= 500 for event in events)
    return controller, Start(known_after, processor, refused)


def _fill(cluster: Cluster, services: int) -> dict[str, str]:
    """Make the services and wait for their pods; names of pods by address."""
    cluster.kubectl("apply", "-f", str(_REPOSITORY / _CRDS))
    cluster.kubectl("wait", "--for=condition=established", "crd", "--all", "--timeout=30s")
    fake_nodes(cluster, 2 + services * REPLICAS // 250)
    cluster.apply(*system())
    cluster.kubectl("apply", "-n", SYSTEM_NAMESPACE, "-f", str(_REPOSITORY / _RIGHTS))
    for first in range(0, services, _AT_A_TIME):
        items = [made for number in range(first, min(first + _AT_A_TIME, services)) for made in service_objects(number)]
        several = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        cluster.kubectl("create", "-f", "-", stdin=several, timeout=240)
    wait_until(lambda: len(_ready(cluster)) == services * REPLICAS, "pods", 240)
    return _ready(cluster)


def _ready(cluster: Cluster) -> dict[str, str]:
    time.sleep(2)  # a list of all pods is no small thing
    columns = "-o=custom-columns=A:.status.podIP,N:.metadata.name,R:.status.conditions[?(@.type=='Ready')].status"
    found = cluster.kubectl("get", "pods", "-A", "-l", "component=predictor", "--no-headers", columns)
    rows = [line.split() for line in found.splitlines()]
    return {address: name for address, name, ready in rows if ready == "True"}


def _start(cluster: Cluster, module: str, flags: list[str]) -> int:
    """Start a module's process in node 1's network; its own process id."""
    path = os.environ.get("PYTHONPATH", str(_REPOSITORY))
    argv = ["env", f"PYTHONPATH={path}", "POD_IP=127.0.0.1", sys.executable, "-m", module, *flags]
    process = cluster.start_in_node(1, argv, cluster.run / f"{module}.log")
    found: list[int] = []

    def there() -> bool:
        found[:] = [entry for entry in [descendant(process.pid, module)] if entry is not None]
        return bool(found)

    wait_until(there, module, 20, cluster.run / f"{module}.log")
    return found[0]


def _decided_on() -> int:
    """Services for which the controller has made a decision."""
    try:
        with urlopen(f"http://127.0.0.1:{_API}/services", timeout=10) as answer:
            listed = json.loads(answer.read())["services"]
    except OSError:
        return -1
    return sum(service["desired"] is not None for service in listed)


def _passes(services: int, count: int) -> list[float]:
    found = []
    before = _evaluations()
    for _ in range(count):
        time.sleep(2.0)
        now = _evaluations()
        found.append(now.milliseconds_a_pass(before, services))
        before = now
    return found


def _evaluations() -> Evaluations:
    with urlopen(f"http://127.0.0.1:{_API}/metrics", timeout=10) as answer:
        return evaluations(answer.read().decode())
