"""The command as users run it: one process, what it prints, what it writes, what it says of mistakes."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.simulations.experiment.test_simulations_recorded import OURS, simulated_recording

REPOSITORY = Path(__file__).resolve().parents[3]
TRACE = str(REPOSITORY / "examples" / "traces" / "launch.csv.gz")
FEW = ("--profile", "vision", "--limit", "4", "--seeds", "2", "--policy", "kpa", "--policy", "pilotlight")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def simulate(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pilotlight.entry", "simulate", *arguments],
        cwd=folder or REPOSITORY, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "run.jsonl.gz"
    path.write_bytes(gzip.compress(("\n".join(simulated_recording(OURS)) + "\n").encode()))
    return path


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, workers in (("a", "1"), ("b", "2")):
        outputs = [f"--{kind}={tmp_path / name}.{kind}" for kind in ("report", "json", "csv")]
        finished = simulate(TRACE, *FEW, "--sweep", "startup=0.5,2", "--workers", workers, *outputs)
        assert finished.returncode == 0, finished.stderr
    for kind in ("report", "json", "csv"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def with_a_terminal(*arguments: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """The command with a terminal for its stderr, and what was drawn there."""
    ours, theirs = pty.openpty()
    drawn: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # what a terminal says that nobody has open any more
            while data := os.read(ours, 65_536):
                drawn.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    finished = subprocess.run(
        [sys.executable, "-m", "pilotlight.entry", "simulate", *arguments], env={**os.environ, "TERM": "xterm"},
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=280, check=False,
    )  # fmt: skip
    os.close(theirs)
    reader.join(60)
    os.close(ours)
    return finished, b"".join(drawn).decode(errors="replace")


def test_json_alone_on_stdout_says_what_the_result_depends_on_and_a_terminal_shows_how_far_it_is() -> None:
    finished, drawn = with_a_terminal(TRACE, *FEW, "--json", "-")
    assert finished.returncode == 0, drawn
    assert "simulating" in drawn
    assert "0/4" in drawn
    assert "4/4" in drawn
    body = json.loads(finished.stdout)
    assert body["seeds"] == [1, 2]
    assert body["traces"][0]["reference"] == "pilotlight"
    (world,) = body["config"]["worlds"]
    assert len(world["trace"]["digest"]) == 64
    assert world["services"]["launch"]["limit"] == 4
    assert set(body["config"]["policies"]["launch"]) == {"kpa", "pilotlight"}


def test_clients_and_ends_of_replicas_are_what_flags_say() -> None:
    flags = "--stop-time 20s --drain-time 1m --client-timeout 30s --retries 2 --ignore-retry-after --metric-loss 0.1"
    flags += " --no-abort-on-disconnect"
    finished = simulate(TRACE, *FEW, *flags.split(), "--json", "-")
    assert finished.returncode == 0, finished.stderr
    body = json.loads(finished.stdout)
    (world,) = body["config"]["worlds"]
    launch = world["services"]["launch"]
    assert (launch["stop_seconds"], launch["drain_seconds"], world["metric_loss"]) == (20.0, 60.0, 0.1)
    assert launch["abort_on_disconnect"] is False
    assert world["clients"] == {"timeout": 30.0, "retries": 2, "backoff": 1.0, "heeds_retry_after": False}
    figures = body["traces"][0]["policies"][0]["figures"]
    # Each that went held its GPU for twenty seconds more; of changes (a number in an hour) half are such.
    hours = (world["trace"]["span_seconds"] - world["warm_up_seconds"]) / 3600.0
    went = figures["churn"]["mean"] * hours / 2.0
    assert figures["gpu_hours_draining"]["mean"] > 0.8 * went * 20.0 / 3600.0 > 0.0


def test_nodes_and_what_they_share_are_what_flags_say() -> None:
    flags = "--node-gpus 2 --most-nodes 9 --node-idle 1m --cold-caches --image-streams 1 --policy kpa --seeds 1"
    finished = simulate(TRACE, "--profile", "vision", "--limit", "4", *flags.split(), "--json", "-")
    assert finished.returncode == 0, finished.stderr
    body = json.loads(finished.stdout)
    (world,) = body["config"]["worlds"]
    assert (world["gpus"], world["cluster"]["nodes"], world["cluster"]["image_streams"]) == (18, 1, 1.0)
    assert "1 to 9 nodes of 2, made when there is no room, gone after 60 s" in body["assumptions"]["GPUs"]
    figures = body["traces"][0]["policies"][0]["figures"]
    assert figures["start_image"]["mean"] > 5.0  # pulled; half a second where a node has it


def test_csv_alone_on_stdout_is_a_table() -> None:
    finished = simulate(TRACE, *FEW, "--csv", "-")
    rows = list(csv.DictReader(finished.stdout.splitlines()))
    attained = {
        row["policy"]: float(row["mean"]) for row in rows if row["figure"] == "attainment" and not row["service"]
    }
    assert set(attained) == {"kpa", "pilotlight"}
    assert all(0.0 <= share <= 1.0 for share in attained.values())


def test_a_service_gets_its_policy_by_its_name(tmp_path: Path) -> None:
    manifest = tmp_path / "isvc.yaml"
    text = (REPOSITORY / "manifests" / "examples" / "chat.yaml").read_text()
    manifest.write_text(text.replace("name: chat", "name: launch", 1))
    finished = simulate(TRACE, "-f", str(manifest), "--seeds", "1", "--policy", "pilotlight", "--json", "-")
    assert finished.returncode == 0, finished.stderr
    body = json.loads(finished.stdout)
    launch = body["config"]["worlds"][0]["services"]["launch"]
    assert (launch["limit"], launch["queue_requests"], launch["queue_seconds"]) == (8, 10_000, 300.0)
    assert body["assumptions"]["line of a replica"].startswith("at most 10,000 requests (queue-requests), each for 300")
    assert body["config"]["policies"]["launch"]["pilotlight"]["*"]["stable_window_seconds"] == 6.0


def test_a_recording_is_decided_again_and_then_run_by_another_policy(recording: Path) -> None:
    finished = simulate("--from-recording", str(recording), "--set", "target-concurrency=2", "--seeds", "2")
    assert finished.returncode == 0, finished.stderr
    assert "recorded decisions come out the same in the simulator, byte for byte" in finished.stdout.replace("\n", " ")
    assert "measured in the recording" in finished.stdout
    assert "pilotlight costs" in finished.stdout or "not distinguishable" in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "a TRACE is needed, or --from-recording FILE"),
        (("missing.csv",), "missing.csv: No such file"),
        ((TRACE, "--policy", "magic"), "'magic' is not a policy; there are pilotlight, fixed"),
        ((TRACE, "--policy", "kpa", "--policy", "kpa"), "kpa is asked for twice"),
        ((TRACE, "--policy", "hpa:speed=3"), "'speed' is not a key"),
        ((TRACE, "--set", "target"), "--set target: is not KEY=VALUE"),
        ((TRACE, "--set", "tarqet=3"), "did you mean target?"),
        (
            (TRACE, "--startup", "45s", "--profile", "vision"),
            "--startup says how long every start takes: leave --profile",
        ),
        ((TRACE, "--model", "normal:1s"), "there are measured, fixed"),
        ((TRACE, "--slo", "speed=3"), "there are latency and ttft"),
        ((TRACE, "--profile", "vison"), "there is no profile 'vison'; there are vision"),
        ((TRACE, "--sweep", "speed=1..2"), "'speed' cannot be varied; there are startup"),
        ((TRACE, "--sweep", "load=1,2", "--sweep", "load=4"), "--sweep load is given twice"),
        (("missing.csv", "--sweep", "load=2..1"), "--sweep load: 2..1 does not go upwards"),
        ((TRACE, "--price", "free"), "is not a price"),
        ((TRACE, "--price", "H10=3"), "--price H10=3: all replicas have the GPU H100 (--gpu-type names another)"),
        ((TRACE, "--price", "A100=2", "--price", "3"), "--price is given more than once (A100=2, 3)"),
        ((TRACE, "--gpus", "3", "--node-gpus", "2"), "with --node-gpus give --nodes and --most-nodes"),
        ((TRACE, "--most-nodes", "2"), "need --node-gpus"),
        ((TRACE, "--warm-up", "2h"), "launch has"),
        ((TRACE, "--report", "/nowhere/out.html"), "there is no directory /nowhere"),
        ((TRACE, "--json", "-", "--csv", "-"), "stdout can take one of them"),
        ((TRACE, "--report", TRACE), "is what the simulation reads, and would be lost"),
        ((TRACE, "--json", "new", "--csv", "./new"), "two outputs have the same name"),
        ((TRACE, "-f", "missing.yaml"), "does not exist"),
        (("poisson:rate=1,span=1m",), "--model exponential:0.5s"),
        ((TRACE, "--from-recording", "run.jsonl"), "leave TRACE out"),
        (("--from-recording", TRACE), "launch.csv.gz:1: not JSON"),
        ((TRACE, "--seeds", "10000", "--sweep", "load=0.1..4/100"), "runs; 100000 are allowed"),
        ((TRACE, TRACE), "a TRACE is given twice"),
    ],
)
def test_a_mistake_is_named_and_no_traceback_is_shown(arguments: Sequence[str], said: str) -> None:
    finished = simulate(*arguments)
    assert finished.returncode == 1
    assert said in finished.stderr
    assert all(line.startswith("pilotlight: error: ") for line in finished.stderr.splitlines())
    assert finished.stdout == ""


@pytest.mark.parametrize(
    "moment",
    ["import numpy", "import scipy.optimize", "import numba", "fork 2", "answer"],
)
def test_ctrl_c_ends_it_and_everything_that_it_started(moment: str) -> None:
    command = [sys.executable, "-m", "tests.integration.simulate.interrupted_command", moment, "simulate", TRACE,
               "--profile", "vision", "--seeds", "5000", "--policy", "pilotlight", "--workers", "2"]  # fmt: skip
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    # It is over when nobody has its stdout and stderr any more: neither the command nor a worker.
    assert finished.returncode == 130
    assert finished.stderr == ""
