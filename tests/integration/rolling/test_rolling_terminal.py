"""SIGHUP asks to read files again, except when it is the news that the terminal was closed."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import termios
from pathlib import Path

import pytest
import yaml

from tests.integration.main_job.harness import PILOTLIGHT, free_ports, wait_for
from tests.integration.rolling.test_rolling_loses_nothing import lean_service


@pytest.mark.slow
def test_a_closed_terminal_ends_what_ran_in_it(tmp_path: Path) -> None:
    manifest = tmp_path / "service.yaml"
    manifest.write_text(yaml.safe_dump(lean_service(0)))
    first = free_ports(2)
    ours, theirs = pty.openpty()
    output = tmp_path / "up.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [PILOTLIGHT, "up", "-f", manifest, "--port", str(first), "--api", f"127.0.0.1:{first + 1}"],
            stdin=theirs,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    os.close(theirs)
    try:
        wait_for("the word ready", lambda: "ready;" in output.read_text())
        os.close(ours)
        assert process.wait(20) == 0
        assert "read the files again" not in output.read_text()
        assert "all done" in output.read_text()
    finally:
        process.kill()
        process.wait()
