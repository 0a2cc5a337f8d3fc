"""Traefik in node 1's network: a real gateway that reads EndpointSlices itself, past kube-proxy."""

import urllib.request

from tests.cluster.cluster import Cluster
from tests.cluster.configuration import kubeconfig
from tests.cluster.network import address
from tests.cluster.processes import wait_until
from tests.cluster.tools import Module, binaries

_PORT = 8000
_ADMIN_PORT = 8001


def gateway(cluster: Cluster) -> str:
    """Start the gateway, if it does not run; its URL, at which an Ingress of any class is served by host and path."""
    url = f"http://{address(1)}:{_PORT}"
    with cluster.inside():
        if _answers():
            return url
    program = str(binaries(Module.GATEWAY) / "traefik")
    flags = [
        "--providers.kubernetesingress=true",
        "--providers.kubernetesingress.throttleduration=0s",
        f"--entrypoints.web.address={address(1)}:{_PORT}",
        f"--entrypoints.traefik.address={address(1)}:{_ADMIN_PORT}",
        "--ping=true",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
    ]
    log = cluster.run / "gateway.log"
    environment = f"KUBECONFIG={kubeconfig(cluster.run, 'gateway')}"
    cluster.start_in_node(1, ["env", environment, program, *flags], log)
    with cluster.inside():
        wait_until(_answers, "the gateway", 30, log)
    return url


def _answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://{address(1)}:{_ADMIN_PORT}/ping", timeout=2):
            return True
    except OSError:
        return False
