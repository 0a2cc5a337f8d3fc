"""What commands are given: a good manifest, a controller that answers, and a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler

import pytest

GOOD = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: good, namespace: default}
spec:
  predictor:
    containers:
      - name: kserve-container
        image: example.com/model:1
        command: ["pilotlight", "example-server"]
        args: [--port=8080]
"""


def errors_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("pilotlight: error: ") for line in lines), lines
    return lines


class FakeController(BaseHTTPRequestHandler):
    """Answers as the controller's API does, with whatever the test put into `answers`."""

    answers: dict[str, tuple[int, bytes]] = {}  # noqa: RUF012 - replaced by each test

    def do_GET(self) -> None:
        status, body = self.answers.get(self.path, (404, b'{"error": "there is no service default/nobody"}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it overrides
        """Quiet."""


def pilotlight(*arguments: str, stdout: int, stdin: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with the streams of a terminal or a pipe."""
    command = [sys.executable, "-P", "-c", "import sys; from pilotlight.cli import main; sys.exit(main())", *arguments]
    # Unbuffered, nothing is left that could fail when the interpreter ends.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        check=False,
        timeout=60,
    )
