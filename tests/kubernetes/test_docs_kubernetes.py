"""docs/kubernetes.md, followed to the letter in a cluster of its own: from an empty one to an empty one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscaler.policy.keys import ANNOTATIONS
from tests.cluster import tools
from tests.cluster.cluster import Cluster
from tests.cluster.images import name_also
from tests.cluster.processes import wait_until
from tests.cluster.product_image import product_image
from tests.cluster.tools import Module, binaries
from tests.kubernetes import kserve_side

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/kubernetes.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KSERVE = "registry.example.com/kserve/kserve-controller:v0.20.0"
SLICES = ("get", "endpointslices", "-A", "-o", "name", "-l", "endpointslice.kubernetes.io/managed-by=pilotlight.dev")
# A block ends with its first command that fails; only the doctor may have found something.
PRELUDE = """\
set -euo pipefail
pilotlight() { command pilotlight "$@" || { status=$?; [[ $1 = doctor && $status = 1 ]] || return $status; }; }
"""


class Reader:
    """Somebody who does what the page says, in a checkout, with the cluster's kubeconfig."""

    def __init__(self, cluster: Cluster, checkout: Path) -> None:
        self.cluster = cluster
        self.checkout = checkout
        self._blocks = iter([text for language, text in BLOCK.findall(PAGE) if language == "sh"])

    def next_block(self) -> str:
        """Run the next block; what it printed."""
        return self.run(PRELUDE + next(self._blocks))

    def at_the_end(self) -> bool:
        return next(self._blocks, None) is None

    def run(self, script: str) -> str:
        finished = self.started(script)
        assert finished.returncode == 0, f"{script}\n{finished.stdout}{finished.stderr}"
        return finished.stdout

    def started(self, script: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{binaries(Module.KUBERNETES)}:{os.environ['PATH']}"
        return subprocess.run(
            self.cluster.in_node(1, ["bash", "-c", script]),
            cwd=self.checkout,
            env={**os.environ, "PATH": path, "KUBECONFIG": str(self.cluster.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def findings(self) -> dict[str, dict[str, Any]]:
        """What the doctor finds, by name."""
        found = json.loads(self.started("pilotlight doctor --json").stdout)["findings"]
        return {finding["name"]: finding for finding in found}


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """In a cluster of its own, as everything is removed from it in the end; KServe's side is there."""
    if why := tools.missing():
        pytest.skip(why)
    for entry in REPOSITORY.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    monkeypatch.setenv("PILOTLIGHT_CLUSTER_NAME", "docs")
    image = tmp_path / "image.tar"
    shutil.copy(product_image(), image)
    registry = re.findall(r"docker push (\S+)", PAGE)
    name_also(image, [*registry, KSERVE])
    with Cluster.up(nodes=2, images=[image], patience=200) as cluster:
        _install_kserve(cluster)
        yield Reader(cluster, tmp_path)


def _install_kserve(cluster: Cluster) -> None:
    kserve_side.install(cluster)
    # What KServe ships with, and no entries of ours.
    cluster.kubectl(
        *("-n", "kserve", "patch", "configmap", "inferenceservice-config", "--type=merge", "-p"),
        json.dumps({"data": {"inferenceService": '{"serviceAnnotationDisallowedList": ["modelFormat"]}'}}),
    )
    container = {"name": "manager", "image": KSERVE, "imagePullPolicy": "Never", "command": ["sleep", "infinity"]}
    labels = {"control-plane": "kserve-controller-manager"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "kserve-controller-manager", "namespace": "kserve", "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
    )
    cluster.kubectl(
        "-n", "kserve", "rollout", "status", "deployment/kserve-controller-manager", "--timeout=60s", timeout=70
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_leads_from_an_empty_cluster_to_one_that_wakes_models_and_back(reader: Reader) -> None:
    printed = reader.next_block()
    assert "not-installed" in printed.partition("created")[0]
    _what_the_doctor_says_mends_it(reader)
    _whoever_may_see_nothing_is_told_so(reader)
    _a_model_wakes(reader)
    _what_the_file_editor_makes_is_the_same(reader)
    assert reader.next_block() == ""
    assert json.loads((reader.checkout / "findings.json").read_text())["good"] is True
    assert "byte for byte" in reader.next_block()
    assert "versions-differ" not in reader.next_block()
    _nothing_of_it_is_left(reader)
    assert reader.at_the_end()
    assert "default/classifier" in reader.run(PRELUDE + _of_the_readme())


def _of_the_readme() -> str:
    """What the README says of clusters."""
    (block,) = [text for language, text in BLOCK.findall((REPOSITORY / "README.md").read_text()) if language == "bash"]
    return str(block)


def _what_the_doctor_says_mends_it(reader: Reader) -> None:
    wait_until(lambda: set(reader.findings()) <= {"policy-edits-restart-pods", *_NOTES}, "the rest to be well", 40)
    found = reader.findings()
    reader.run(found["policy-edits-restart-pods"]["fix"])
    listed = reader.run("kubectl -n kserve get configmap inferenceservice-config -o jsonpath={.data.inferenceService}")
    assert json.loads(listed)["serviceAnnotationDisallowedList"][0] == "modelFormat"
    assert set(reader.findings()) <= _NOTES
    assert reader.started("pilotlight doctor").returncode == 0


def _whoever_may_see_nothing_is_told_so(reader: Reader) -> None:
    kubeconfig = reader.cluster.credentials("default", "default")
    doctor = reader.started(f"pilotlight doctor --kubeconfig {kubeconfig}")
    assert (doctor.returncode, doctor.stderr) == (1, "")
    assert "cannot-look (lease)" in doctor.stdout
    assert "problem" not in doctor.stdout
    status = reader.started(f"pilotlight status --kubeconfig {kubeconfig}")
    assert status.returncode == 1
    assert "it takes the rights to get leases and pods/proxy" in status.stderr


_NOTES = {"gpu-metrics-not-read", "nothing-asked-for"}


def _a_model_wakes(reader: Reader) -> None:
    printed = reader.next_block()
    assert "default/classifier" in printed
    assert "why" in printed
    wait_until(lambda: _replicas(reader) == "0", "the model to go to sleep", 60)
    assert '"outputs"' in reader.next_block()
    reader.run("kubectl wait --for=condition=Available deployment/classifier-predictor --timeout=60s")
    assert "replicas by" in reader.next_block()
    starts = json.loads((reader.checkout / "starts.json").read_text())
    assert len(starts["start_samples"]["ready"]) == starts["start_phases"]["ready"]["count"] >= 1
    other = reader.started("pilotlight explain --cluster default/nobody")
    assert (other.returncode, "there are: default/classifier" in other.stderr) == (1, True)


def _what_the_file_editor_makes_is_the_same(reader: Reader) -> None:
    before = _sidecar(reader)
    reader.next_block()
    assert _sidecar(reader)["args"] == before["args"]


def _nothing_of_it_is_left(reader: Reader) -> None:
    wait_until(lambda: _replicas(reader) == "0", "the model to be asleep, as the worst case is", 60)
    reader.next_block()
    assert _replicas(reader) == "1"
    assert reader.cluster.kubectl(*SLICES) == ""
    kinds = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,namespaces"
    assert "pilotlight" not in reader.cluster.kubectl("get", kinds, "-o", "name")
    address = "http://classifier-predictor.default/v2/models/classifier/ready"
    assert "200" in reader.run(f"curl -s -o /dev/null -w '%{{http_code}}' --retry 20 --retry-all-errors {address}")


def _replicas(reader: Reader) -> str:
    return reader.run("kubectl get deployment classifier-predictor -o jsonpath={.spec.replicas}")


def _sidecar(reader: Reader) -> dict[str, Any]:
    body = json.loads(reader.run("kubectl get inferenceservice classifier -o json"))
    container: dict[str, Any] = body["spec"]["predictor"]["containers"][-1]
    assert container["name"] == "transformer-container"
    return container


def test_only_the_block_that_needs_a_registry_is_not_run() -> None:
    others = [text for language, text in BLOCK.findall(PAGE) if language != "sh"]
    assert len(others) == 1
    assert all(line.startswith("docker ") for line in others[0].splitlines())


def test_every_finding_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:[a-z]+-)+[a-z]+|refused-\w+)`", PAGE.partition("## When something is wrong")[2]))
    code = "".join(path.read_text() for path in (REPOSITORY / "pilotlight/doctor").glob("*_findings.py"))
    findings = {name for name in named if not name.startswith("refused-") and not name.startswith("pilotlight-")}
    findings -= {key.name.rpartition("/")[2] for key in ANNOTATIONS}
    findings -= {"hold-no-endpoint"}  # a part of the name of such a key
    assert len(findings) >= 6
    assert {name for name in findings if f'"{name}"' not in code} == set()
