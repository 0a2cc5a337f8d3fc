"""The example server as a process: it loads, serves, fails and ends as its flags say."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.main_job.harness import wait_for

TENSOR = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}


class Server:
    """One example server on a port of its own choice."""

    def __init__(self, log: Path, *flags: str) -> None:
        self.log = log
        with log.open("wb") as output:
            command = [sys.executable, "-m", "pilotlight.example_server", "--port=0", "--model=m", *flags]
            self.process = subprocess.Popen(command, stderr=output)

    @property
    def port(self) -> int:
        found = wait_for("the port", lambda: re.search(r"serving 'm' on 127.0.0.1:(\d+)", self.log.read_text()))
        return int(found[1])

    def ask(self, path: str, body: object = None) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data=data, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)}{{.*}} (\S+)$", self.ask("/metrics")[1].decode(), re.M)
        assert found, name
        return float(found[1])


@contextlib.contextmanager
def serving(tmp_path: Path, *flags: str) -> Iterator[Server]:
    server = Server(tmp_path / "server.log", *flags)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def test_its_first_ready_answer_and_first_request_are_on_the_machines_clock(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        before = time.monotonic()
        assert server.ask("/v2/health/ready")[0] == 200
        assert server.ask("/v2/models/m/infer", {"inputs": [TENSOR]})[0] == 200
        ready, request = (
            server.metric("example_first_ready_answer_seconds"),
            server.metric("example_first_request_seconds"),
        )
    assert before - 10 < ready < request < time.monotonic()


def test_sigterm_finishes_the_running_request_and_ends_with_status_0(tmp_path: Path) -> None:
    with serving(tmp_path, "--service-seconds=0.5") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/v2/models/m/infer", json.dumps({"inputs": [TENSOR]}))
        wait_for("the request in its slot", lambda: server.metric("vllm:num_requests_running") == 1)
        server.process.send_signal(signal.SIGTERM)
        assert connection.getresponse().status == 200
        connection.close()
        assert server.process.wait(10) == 0


def test_sigterm_while_loading_ends_at_once_with_status_0(tmp_path: Path) -> None:
    with serving(tmp_path, "--load-seconds=60") as server:
        wait_for("loading", lambda: "loading for 60 s" in server.log.read_text())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0


def test_it_crashes_after_as_many_answers_as_it_was_told(tmp_path: Path) -> None:
    with serving(tmp_path, "--crash-after-requests=2") as server:
        for _ in range(2):
            assert server.ask("/v2/models/m/infer", {"inputs": [TENSOR]})[0] == 200
        assert server.process.wait(10) == -signal.SIGKILL


def test_a_client_that_leaves_a_stream_frees_its_slot(tmp_path: Path) -> None:
    with serving(tmp_path, "--slots=1", "--token-seconds=0.02") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        chat = {"model": "m", "stream": True, "min_tokens": 10_000, "messages": [{"role": "user", "content": "x"}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(chat))
        assert connection.getresponse().read(10)
        connection.close()
        wait_for("the free slot", lambda: server.metric("vllm:num_requests_running") == 0)
        assert server.ask("/v2/models/m/infer", {"inputs": [TENSOR]})[0] == 200


def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        again = subprocess.run(
            [sys.executable, "-m", "pilotlight.example_server", f"--port={server.port}"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert again.returncode == 1
    assert str(server.port) in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize(("while_loading", "expected"), [("unready", 503), ("refuse", None)])
def test_while_loading_the_port_is_closed_or_says_503(tmp_path: Path, while_loading: str, expected: int | None) -> None:
    port = 21_000 + hash(tmp_path) % 9_000
    with serving(tmp_path, f"--port={port}", "--load-seconds=60", f"--while-loading={while_loading}") as server:
        wait_for("loading", lambda: "loading for 60 s" in server.log.read_text())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/v2/health/ready")
            status = connection.getresponse().status
        except ConnectionRefusedError:
            status = None
        connection.close()
    assert status == expected
