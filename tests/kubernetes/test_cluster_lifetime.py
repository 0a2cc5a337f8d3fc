"""Nothing is left of a cluster: not after it was taken down, and not after the run that brought it up was killed.

They have a cluster of a name of their own, beside the one that the other tests share.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import cgroups, tools
from tests.cluster.lifetime import Lifetime, keepers, run_directory
from tests.cluster.node import SHARED_DIRECTORIES
from tests.cluster.processes import ClusterError, processes_of, wait_until

_REPOSITORY = Path(__file__).parents[2]
# Brings a cluster up with a pod on each node, says so, and takes it down at the end of its standard input.
_A_RUN = """
import sys
from tests.cluster.cluster import Cluster
with Cluster.up(nodes=2, patience=100) as cluster:
    pod = {"apiVersion": "v1", "kind": "Pod"}
    container = {"name": "pause", "image": "localhost/pause:1", "imagePullPolicy": "Never"}
    for node in ("node-1", "node-2"):
        cluster.apply(pod | {"metadata": {"name": node, "namespace": "default"},
                             "spec": {"nodeName": node, "containers": [container]}})
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{node}", "--timeout=30s")
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _a_cluster_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_CLUSTER_NAME", "lifetime")
    if why := tools.missing():
        pytest.skip(why)


@contextmanager
def _a_run() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _A_RUN], cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "up\n"
            assert len(list(processes_of(run_directory()))) > 10
            yield run
        finally:
            run.kill()


def _traces() -> dict[str, object]:
    """Everything that a cluster makes and that would show that one is or was here."""
    return {
        "processes": list(processes_of(run_directory())),
        "keepers": keepers(),
        "cgroups": cgroups.left(),
        "files": run_directory().exists(),
        "mounts": [mount for mount in Path("/proc/self/mountinfo").read_text().splitlines() if "cluster-" in mount],
        "interfaces": Path("/proc/net/dev").read_text().count("\n"),
        "shared": {name: sorted(Path(name).iterdir()) for name in SHARED_DIRECTORIES if Path(name).exists()},
    }


def test_nothing_is_left_after_down() -> None:
    before = _traces()
    with _a_run() as run:
        run.communicate(timeout=30)
        assert run.returncode == 0
    assert _traces() == before


def test_nothing_is_left_after_the_run_was_killed() -> None:
    before = _traces()
    with _a_run() as run:
        run.kill()
    wait_until(lambda: _traces() == before, "the keeper to remove the cluster", timeout=20)


def test_the_next_run_removes_what_a_killed_run_and_its_killed_keeper_left() -> None:
    before = _traces()
    with _a_run() as run:
        for keeper in keepers():
            os.kill(keeper, signal.SIGKILL)
        run.kill()
    assert len(list(processes_of(run_directory()))) > 10
    with _a_run() as run:
        run.communicate(timeout=30)
    assert _traces() == before


def test_a_second_cluster_is_refused_by_the_name_of_the_first() -> None:
    with _a_run() as run:
        with pytest.raises(ClusterError, match=f"up already, by process {run.pid}"):
            Lifetime(patience=0.1)
        run.communicate(timeout=30)
