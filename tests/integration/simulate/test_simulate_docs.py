"""Every command of docs/simulate.md and of the README's section, run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from simulations.contender import OWN
from simulations.policies.registry import POLICIES
from simulations.sweep import AXES

REPOSITORY = Path(__file__).resolve().parents[3]
DOCS = (REPOSITORY / "docs" / "simulate.md").read_text()
README = (REPOSITORY / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
SECTION = [line.strip() for line in README.splitlines() if line.startswith("    pilotlight simulate ")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what commands name, so that what they write does not land in the checkout."""
    for name in ("examples", "manifests"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "trace.csv.gz").symlink_to(REPOSITORY / "examples" / "traces" / "launch.csv.gz")
    (tmp_path / "isvc.yaml").symlink_to(REPOSITORY / "manifests" / "examples" / "classifier.yaml")
    return tmp_path


def _run(command: str, folder: Path) -> str:
    path = f"{REPOSITORY / '.venv' / 'bin'}:{os.environ['PATH']}"
    finished = subprocess.run(
        ["bash", "-c", command], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, f"{command}\n{finished.stdout}{finished.stderr}"
    assert finished.stderr == ""
    return finished.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_does_what_it_says(command: str, checkout: Path) -> None:
    said = _run(command, checkout)
    assert "pilotlight " in said
    for output in re.findall(r"--(?:report|json|csv) (\S+)", command):
        assert (checkout / output).stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", [line for line in SECTION if "--from-recording" not in line])
def test_a_command_of_the_readme_does_what_it_says(command: str, checkout: Path) -> None:
    assert "clairvoyant" in _run(re.sub(r"\s+#.*$", "", command), checkout)


def test_the_readme_and_the_page_show_the_same_command_for_a_recording() -> None:
    (recorded,) = [line for line in SECTION if "--from-recording" in line]
    assert recorded in DOCS


def test_every_policy_and_every_axis_is_described() -> None:
    for name in (OWN, *POLICIES):
        assert f"`{name}`" in DOCS, name
    table = DOCS[DOCS.index("| axis |") :]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(AXES)
