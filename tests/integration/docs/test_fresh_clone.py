"""The README's first command, in a fresh clone with an empty home; CI runs the second in the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "pilotlight"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(folder)], check=True, timeout=60)
    return folder


def _make(clone: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    home = clone.parent / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *targets],
        cwd=clone,
        env={**kept, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_make_demo_sets_itself_up_and_loses_nothing(clone: Path) -> None:
    finished = _make(clone, "demo")
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    assert "lost" in finished.stdout
    page = (clone / "demo-report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://127.0.0.1", "")
