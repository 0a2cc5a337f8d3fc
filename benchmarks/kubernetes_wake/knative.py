"""Knative Serving in the cluster, from its published Go modules.

Its programs are compiled once (tests.cluster.tools), put into images FROM scratch, and installed with its own YAML,
which is read where Go keeps the modules. No ingress is installed: a revision's public Service takes requests with the
fields that an ingress would add.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.kubernetes_wake.model import IMAGE, PORT, command
from benchmarks.kubernetes_wake.system import NAMESPACE, Address, Load
from tests.cluster.audit import AuditEvent
from tests.cluster.cache import made
from tests.cluster.cluster import Cluster
from tests.cluster.images import archive, buildah
from tests.cluster.processes import ClusterError, wait_until
from tests.cluster.tools import Module, binaries, module_directory

_SYSTEM_NAMESPACE = "knative-serving"
_COMPONENTS = ("activator", "autoscaler", "controller", "webhook")
_PROGRAMS = (*_COMPONENTS, "queue")
_SERVING, _NETWORKING, _CACHING = "knative.dev/serving", "knative.dev/networking", "knative.dev/caching"
# The ConfigMaps as they are, and these changes: what is asked of Pilotlight's services is asked of Knative's, too.
_CHANGES = {
    "config-autoscaler": {"stable-window": "6s", "scale-to-zero-grace-period": "6s"},
}


class Knative:
    """See System."""

    name = "Knative"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def install(self) -> None:
        """CRDs, configuration, components, webhooks, in this order."""
        core = module_directory(Module.KNATIVE, _SERVING) / "config" / "core"
        networking = module_directory(Module.KNATIVE, _NETWORKING) / "config"
        caching = module_directory(Module.KNATIVE, _CACHING) / "config"
        kinds = _files(core / "300-resources")
        kinds += [file for file in _files(networking) if file.name != "config-network.yaml"]
        self._apply(*kinds, caching / "image.yaml")
        self._cluster.kubectl("wait", "--for=condition=established", "crd", "--all", "--timeout=30s")
        self._apply(core / "100-namespace.yaml", core / "200-serviceaccount.yaml", *_files(core / "200-roles"))
        self._apply(*_files(core / "configmaps"), networking / "config-network.yaml")
        for name, data in _CHANGES.items():
            self._patch(name, data)
        deployments = [core / "deployments" / f"{component}.yaml" for component in _COMPONENTS]
        self._apply(*deployments, core / "webhooks" / "secret.yaml")
        for component in _COMPONENTS:
            self._cluster.kubectl(
                "rollout", "status", "-n", _SYSTEM_NAMESPACE, f"deployment/{component}", "--timeout=90s", timeout=100
            )
        self._apply(*(file for file in _files(core / "webhooks") if file.name != "secret.yaml"))

    def apply(self, loads: tuple[Load, ...]) -> None:
        """As Configurations: a Service would wait for an ingress that is not there."""
        objects = [_configuration(load) for load in loads]
        # Its webhook refuses nobody only when it has written its certificate, which takes it a moment.
        wait_until(lambda: self._accepts(objects), "Knative's webhook", 40)

    def address(self, name: str) -> Address:
        """The public Service of its one revision."""
        host = f"{name}-00001.{NAMESPACE}.svc.cluster.local"
        headers = {"Host": host, "Knative-Serving-Namespace": NAMESPACE, "Knative-Serving-Revision": f"{name}-00001"}
        return Address(f"http://{host}/work", headers)

    def deployment(self, name: str) -> str:
        return f"{name}-00001-deployment"

    def selector(self, name: str) -> str:
        return f"serving.knative.dev/revision={name}-00001"

    def decided(self, event: AuditEvent, name: str) -> bool:
        return (
            event.user.startswith(f"system:serviceaccount:{_SYSTEM_NAMESPACE}:")
            and event.user_agent.startswith("autoscaler")
            and event.resource.startswith("deployments")
            and event.name == self.deployment(name)
            and event.is_write
        )

    def is_proxy(self, command: str, environment: str, pod: str) -> bool:
        return command.startswith("/queue\0") and f"\0SERVING_POD={pod}\0" in f"\0{environment}"

    def _accepts(self, objects: list[dict[str, object]]) -> bool:
        try:
            self._cluster.apply(*objects)
        except ClusterError:
            return False
        return True

    def _apply(self, *files: Path) -> None:
        text = "\n---\n".join(file.read_text() for file in files)
        for program in _PROGRAMS:
            text = text.replace(f"ko://{_SERVING}/cmd/{program}", _image(program))
        self._cluster.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def _patch(self, name: str, data: dict[str, str]) -> None:
        change = json.dumps({"data": data})
        self._cluster.kubectl("patch", "configmap", name, "-n", _SYSTEM_NAMESPACE, "--type=merge", "-p", change)


def knative_images() -> list[Path]:
    """Docker-archives of Knative's programs; makes them where the cache has none."""
    programs = binaries(Module.KNATIVE)

    def make(directory: Path) -> None:
        for program in _PROGRAMS:
            with tempfile.TemporaryDirectory(prefix="pilotlight-knative-") as folder:
                shutil.copy2(programs / program, Path(folder) / program)
                container = buildah("from", "scratch")
                buildah("add", "--quiet", container, folder, "/")
                buildah("config", "--entrypoint", json.dumps([f"/{program}"]), "--user", "65532:65532", container)
                buildah("commit", "--quiet", "--rm", container, _image(program))
            archive(_image(program), directory / f"{program}.tar")

    directory = made(f"{programs.name}-images", make)
    return [directory / f"{program}.tar" for program in _PROGRAMS]


def _image(program: str) -> str:
    return f"localhost/knative-{program}:1"


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.yaml"))


def _configuration(load: Load) -> dict[str, object]:
    container = {
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": command(load.load_seconds, load.work_seconds),
        "ports": [{"containerPort": PORT}],
    }
    annotations = {"autoscaling.knative.dev/max-scale": str(load.most_replicas)}
    template = {
        "metadata": {"annotations": annotations},
        "spec": {"containerConcurrency": 1, "containers": [container]},
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Configuration",
        "metadata": {"name": load.name, "namespace": NAMESPACE},
        "spec": {"template": template},
    }
