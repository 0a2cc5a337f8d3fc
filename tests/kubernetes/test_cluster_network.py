"""The real cluster is one: pods run, Services reach them, names resolve, from a pod and from a test."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.cluster.audit import service_account
from tests.cluster.cluster import Cluster
from tests.cluster.processes import ClusterError, wait_until
from tests.cluster.workload import PORT, deployment, service

_URL = "http://echo.default.svc.cluster.local/"


@pytest.fixture(scope="module")
def pods(cluster: Cluster) -> Iterator[dict[str, str]]:
    """Two Ready pods behind a Service `echo`, each answering with its own name: name → address."""
    cluster.apply(deployment("echo", replicas=2), service("echo"))
    cluster.kubectl("rollout", "status", "deployment/echo", "--timeout=60s")
    with cluster.inside():  # kube-proxy writes its rules once a second
        wait_until(_service_answers, "the Service to have endpoints", timeout=10)
    listed = json.loads(cluster.kubectl("get", "pods", "-l", "app=echo", "-o", "json"))["items"]
    yield {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in listed}
    cluster.kubectl("delete", "deployment,service", "echo")


def test_all_nodes_are_ready(cluster: Cluster) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    ready = {
        node["metadata"]["name"]: condition["status"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    }
    assert ready == {"node-1": "True", "node-2": "True"}


def test_a_test_reaches_each_pod_by_its_address(inside: Cluster, pods: dict[str, str]) -> None:
    answers = {address: _get(f"http://{address}:{PORT}/") for address in pods.values()}
    assert answers == {address: name for name, address in pods.items()}


async def test_an_event_loop_in_a_test_reaches_a_service_by_name(inside: Cluster, pods: dict[str, str]) -> None:
    answers: set[str] = set()
    async with asyncio.timeout(60), aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        while answers != pods.keys():  # each connection goes to one of both, as kube-proxy throws its dice
            answers.add(await (await session.get(_URL)).text())


def test_a_pod_reaches_a_service_by_name(cluster: Cluster, pods: dict[str, str]) -> None:
    ask = f"import urllib.request; print(urllib.request.urlopen({_URL!r}, timeout=5).read().decode())"

    def answers(name: str) -> bool:
        try:
            return cluster.kubectl("exec", name, "--", "python", "-c", ask).strip() in pods
        except ClusterError:
            return False

    for name in pods:  # one on each node; the other node's kube-proxy may be a second behind
        wait_until(partial(answers, name), f"{name} to reach the Service", timeout=10)


def test_a_test_that_has_left_the_network_is_back_where_it_was(cluster: Cluster) -> None:
    before = _surroundings()
    with cluster.inside():
        assert _surroundings() != before
    assert _surroundings() == before


def test_a_service_account_can_do_what_its_role_allows_and_the_audit_log_tells(cluster: Cluster) -> None:
    cluster.kubectl("create", "serviceaccount", "reader")
    cluster.kubectl("create", "role", "reader", "--verb=get,create", "--resource=configmaps")
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader")
    user, mark = service_account("default", "reader"), cluster.audit.mark()
    as_reader = ("--kubeconfig", str(cluster.credentials("default", "reader")))

    cluster.kubectl(*as_reader, "create", "configmap", "allowed")
    assert cluster.audit.forbidden(user, mark) == []
    with pytest.raises(ClusterError, match="forbidden"):
        cluster.kubectl(*as_reader, "delete", "configmap", "allowed")

    assert [(event.verb, event.resource, event.name) for event in cluster.audit.writes(user, mark)] == [
        ("create", "configmaps", "allowed"),
        ("delete", "configmaps", "allowed"),
    ]
    assert [event.verb for event in cluster.audit.forbidden(user, mark)] == ["delete"]
    cluster.kubectl("delete", "configmap/allowed", "rolebinding/reader", "role/reader", "serviceaccount/reader")


def _service_answers() -> bool:
    try:
        return bool(_get(_URL))
    except OSError:
        return False


def _surroundings() -> tuple[list[str], str, Path]:
    """Where this thread is: its network and mounts, the DNS servers, the working directory."""
    own = Path("/proc/thread-self/ns")
    namespaces = [str((own / name).readlink()) for name in ("net", "mnt")]
    return namespaces, Path("/etc/resolv.conf").read_text(), Path.cwd()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode()
