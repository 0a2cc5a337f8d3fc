"""The whole, as its user meets it: files in, a URL out, an answer from zero, words about why, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.main_job.harness import PILOTLIGHT, Up, pilotlight, running_up, wait_for

EXAMPLES = Path("manifests/examples")
TENSOR = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}


def example(name: str, **changes: str) -> list[dict[str, object]]:
    """The objects of an example, with some of its arguments changed."""
    text = (EXAMPLES / name).read_text()
    for before, after in changes.items():
        text = text.replace(f"--{before.replace('_', '-')}=", f"--{before.replace('_', '-')}={after} #")
    return list(yaml.safe_load_all(text))


def post(url: str, body: object, within: float = 30.0) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=within) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


@pytest.fixture
def classifier(tmp_path: Path) -> Iterator[Up]:
    with running_up(tmp_path, example("classifier.yaml"), "--record", str(tmp_path / "run.jsonl")) as up:
        yield up


@pytest.mark.slow
def test_a_user_serves_a_model_from_zero_and_is_told_why(tmp_path: Path, classifier: Up) -> None:
    up = classifier
    api = ("--api", up.api.removeprefix("http://"))
    port = up.ports["default/classifier"]
    output = wait_for("the word ready", lambda: text if "ready" in (text := up.output.read_text()) else None)
    assert f"default/classifier  http://127.0.0.1:{port}" in output
    assert up.service("default/classifier")["ready"] == 0

    status, body = post(f"http://127.0.0.1:{port}/v2/models/classifier/infer", {"id": "a", "inputs": [TENSOR]})
    assert (status, body["id"]) == (200, "a")

    shown = pilotlight("status", *api)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^default/classifier .* 1 ", shown.stdout, re.M)

    told = pilotlight("explain", "classifier", *api)
    assert told.returncode == 0, told.stderr
    for word in ("1 wanted", "signals", "concurrency-stable", "next", "wakes", "1 ordered", "decisions"):
        assert word in told.stdout
    as_json = pilotlight("explain", "default/classifier", "--json", "--last", "2", *api)
    decisions = json.loads(as_json.stdout)["decisions"]
    assert len(decisions) == 2
    assert all(decision["explanation"] for decision in decisions)

    unknown = pilotlight("explain", "default/nobody", *api)
    assert unknown.returncode == 1
    assert "default/nobody" in unknown.stderr

    wait_for("sleep", lambda: up.service("default/classifier")["phase"] == "asleep", within=40)
    assert up.stop() == 0
    same = pilotlight("replay", str(tmp_path / "run.jsonl"))
    assert same.returncode == 0, same.stdout
    count, total = re.findall(r"(\d+) of (\d+) decisions are the same", same.stdout)[0]
    assert count == total != "0"


@pytest.mark.slow
def test_a_service_by_way_of_a_runtime_is_served(tmp_path: Path) -> None:
    objects = example("runtime.yaml")
    services = [body for body in objects if body["kind"] == "InferenceService"]
    runtime = tmp_path / "runtime.yaml"
    runtime.write_text(yaml.safe_dump_all(body for body in objects if body["kind"] != "InferenceService"))
    with running_up(tmp_path, services, "-f", str(runtime)) as up:
        url = f"http://127.0.0.1:{up.ports['default/from-runtime']}/v2/models/from-runtime/infer"
        assert post(url, {"inputs": [TENSOR]})[0] == 200


@pytest.mark.slow
def test_ctrl_c_finishes_what_has_begun_and_refuses_what_comes_later(tmp_path: Path) -> None:
    with running_up(tmp_path, example("classifier.yaml", service_seconds="2")) as up:
        url = f"http://127.0.0.1:{up.ports['default/classifier']}/v2/models/classifier/infer"
        script = f"""
import json, urllib.request
request = urllib.request.Request({url!r}, json.dumps({{"inputs": [{TENSOR!r}]}}).encode())
print(urllib.request.urlopen(request, timeout=30).status)
"""
        client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        wait_for("the request in its replica", lambda: up.service("default/classifier").get("ready") == 1)
        up.process.send_signal(signal.SIGINT)
        wait_for("the word draining", lambda: "draining" in up.output.read_text())
        wait_for("refusal of new connections", lambda: _refused(url), within=2)
        assert client.communicate(timeout=30)[0].strip() == "200"
        assert up.process.wait(30) == 0


def _refused(url: str) -> bool:
    try:
        post(url, {}, within=1)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return True
    return False


@pytest.mark.slow
def test_a_second_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    up = Up(tmp_path, example("classifier.yaml", service_seconds="60"))
    try:
        up.wait_until_serving()
        url = f"http://127.0.0.1:{up.ports['default/classifier']}/v2/models/classifier/infer"
        client = subprocess.Popen(
            [sys.executable, "-c", f"import urllib.request; urllib.request.urlopen({url!r}, data=b'x')"],
            stderr=subprocess.DEVNULL,
        )
        wait_for("a replica", lambda: up.service("default/classifier").get("ready") == 1)
        up.process.send_signal(signal.SIGINT)
        wait_for("the word draining", lambda: "draining" in up.output.read_text())
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(10) == 128 + signal.SIGINT
        client.wait(10)
        wait_for("every process of the run to be gone", lambda: not up.processes(), within=60)
        assert not list(tmp_path.glob("pilotlight-*"))
    finally:
        up.stop(signal.SIGKILL)
        for pid in up.processes():
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_model_that_cannot_start_is_explained_with_exit_code_and_log(tmp_path: Path) -> None:
    with running_up(tmp_path, example("classifier.yaml", slots="4\n          - --fail-start=always")) as up:
        port = up.ports["default/classifier"]
        client = subprocess.Popen(
            [sys.executable, "-c", f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/', b'x')"],
            stderr=subprocess.DEVNULL,
        )
        try:
            api = ("--api", up.api.removeprefix("http://"))
            told = wait_for(
                "the failure in `explain`",
                lambda: text if "on purpose" in (text := pilotlight("explain", "classifier", *api).stdout) else None,
            )
            assert "exit code 1" in told
        finally:
            client.kill()
            client.wait()


@pytest.mark.slow
@pytest.mark.parametrize("component", ["-m activator", "autoscaler.controller", "local.guardian"])
def test_the_death_of_a_component_is_reported_and_it_comes_back(tmp_path: Path, component: str) -> None:
    with running_up(tmp_path, example("classifier.yaml")) as up:
        (pid,) = up.processes(component)
        os.kill(pid, signal.SIGKILL)
        wait_for("another one", lambda: (now := up.processes(component)) and now != [pid])
        wait_for("the report", lambda: "died" in up.output.read_text())
        up.wait_until_serving()
        url = f"http://127.0.0.1:{up.ports['default/classifier']}/v2/models/classifier/infer"
        assert post(url, {"inputs": [TENSOR]})[0] == 200


@pytest.mark.slow
def test_a_port_in_use_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with running_up(tmp_path, example("classifier.yaml")) as up:
        again = subprocess.run(
            [str(PILOTLIGHT), "up", "-f", str(up.manifest), "--port", str(up.ports["default/classifier"])],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert again.returncode == 1
        assert f"port {up.ports['default/classifier']} for service default/classifier is in use" in again.stderr
        assert "--port" in again.stderr
        assert "Traceback" not in again.stderr


@pytest.mark.slow
def test_up_that_can_tell_nobody_where_it_serves_says_so_and_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        api = f"127.0.0.1:{place.getsockname()[1]}"
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [str(PILOTLIGHT), "up", "-f", str(EXAMPLES / "classifier.yaml"), "--port", "0", "--api", api],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "pilotlight: error: No space left on device\n")
