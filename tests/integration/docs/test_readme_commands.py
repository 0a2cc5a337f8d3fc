"""Every command of the README's shell blocks, run as it stands there, in the order in which it stands there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.main_job.harness import wait_for

REPOSITORY = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _commands() -> list[list[str]]:
    """The shell blocks; each a list of commands without their comments, continued lines joined."""
    blocks = BLOCK.findall((REPOSITORY / "README.md").read_text())
    joined = [block.replace("\\\n", " ") for block in blocks]
    return [[re.sub(r"\s+# .*$", "", line) for line in block.splitlines() if line.strip()] for block in joined]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The checkout as a folder of its own, so that what the commands write does not land in it."""
    # If anything is to be installed anew, then from where it stays: `make` here would write this folder's name into it.
    subprocess.run(["make", ".venv/.runtime"], cwd=REPOSITORY, check=True, capture_output=True, timeout=90)
    for entry in REPOSITORY.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    return tmp_path


def _run(command: str, checkout: Path) -> str:
    finished = subprocess.run(
        ["bash", "-c", command], cwd=checkout, capture_output=True, text=True, timeout=90, check=False
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}{finished.stderr}"
    return finished.stdout


@contextmanager
def _serving(command: str, checkout: Path) -> Iterator[None]:
    """`pilotlight up …` while the block runs; Ctrl-C ends it."""
    output = checkout / "up.out"
    with output.open("w") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=checkout, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"{command!r} to be ready", lambda: "ready" in output.read_text())
        yield
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0, output.read_text()
    finally:
        if process.poll() is None:
            process.kill()


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_it_says(checkout: Path) -> None:
    set_up, other_terminal, recorded = _commands()
    *preparation, up = set_up
    for command in preparation:
        _run(command, checkout)
    with _serving(up, checkout):
        question, status, explain = other_terminal
        assert "[DONE]" in _run(question, checkout)
        assert "default/chat" in _run(status, checkout)
        assert "why" in _run(explain, checkout)
    up, same, other = recorded
    with _serving(up, checkout):
        _run(question, checkout)
    assert "byte for byte" in _run(same, checkout)
    assert "decisions are the same" in _run(other, checkout)
