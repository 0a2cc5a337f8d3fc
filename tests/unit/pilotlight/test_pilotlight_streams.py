"""Commands and their standard streams: pipes, full disks, encodings, and streams that are not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.pilotlight.command_world import GOOD, FakeController, pilotlight


def test_a_pipe_is_read_once_and_stdin_is_a_dash(manifest: Path) -> None:
    with manifest.open() as file:
        checked = pilotlight("check", "-f", "-", stdin=file.fileno(), stdout=subprocess.PIPE)
    assert checked.stdout.startswith("default/good: good (stdin:1)"), checked.stderr


@pytest.mark.parametrize("command", ["check", "--version"])
def test_output_that_cannot_be_written_is_an_error_and_no_traceback(command: str, manifest: Path) -> None:
    arguments = ["check", "-f", str(manifest)] if command == "check" else [command]
    with Path("/dev/full").open("w") as full:
        ended = pilotlight(*arguments, stdout=full.fileno())
    assert ended.returncode == 1
    assert ended.stderr == "pilotlight: error: No space left on device\n"


@pytest.mark.parametrize("command", ["check", "--version"])
def test_output_that_nobody_reads_any_more_is_no_error(command: str, manifest: Path) -> None:
    arguments = ["check", "-f", str(manifest)] if command == "check" else [command]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = pilotlight(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_a_terminals_encoding_lacks_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    good = tmp_path / "modèle.yaml"
    good.write_text(GOOD)
    checked = pilotlight("check", "-f", str(good), stdout=subprocess.PIPE)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "mod?le.yaml" in checked.stdout


def test_json_is_utf_8_in_any_terminal(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    FakeController.answers = {"/services": (200, '{"services": [{"explanation": "0 → 1"}]}'.encode())}
    printed = pilotlight("status", "--json", "--api", api, stdout=subprocess.PIPE)
    assert json.loads(printed.stdout)["services"][0]["explanation"] == "0 → 1"


@pytest.mark.parametrize("closed", [">&-", "<&-", "<&- >&-"])
def test_closed_standard_streams_do_no_harm(manifest: Path, closed: str) -> None:
    program = "import sys; from pilotlight.cli import main; sys.exit(main())"
    command = ["bash", "-c", f'"$0" -P -c "$1" check -f "$2" {closed}', sys.executable, program, str(manifest)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
