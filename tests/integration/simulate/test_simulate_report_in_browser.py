"""The report in a real browser: it is shown whole, in light and in dark, and asks nobody for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from simulations.report.page import page
from tests.unit.simulations.experiment.simulated_studies import experiment, interpreted, study

__all__ = ["interpreted"]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium"),
    pytest.mark.usefixtures("interpreted"),
]


def browse(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    return subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", "--window-size=1280,3000", *flags,
         (folder / "report.html").as_uri()],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    planned = experiment(seeds=(1, 2), sweeps=("startup=0.5,2",))
    (tmp_path / "report.html").write_text(page(study(planned, planned.run(1), curve=True)))
    return tmp_path


def test_a_browser_draws_it_without_a_word_of_complaint(folder: Path) -> None:
    shown = browse(folder, "--dump-dom")
    assert shown.returncode == 0, shown.stderr
    assert "Demand and supply over time" in shown.stdout
    assert shown.stdout.count("<svg") >= 10
    complaints = [line for line in shown.stderr.splitlines() if re.search(r"CONSOLE|Refused|violates", line)]
    assert complaints == []


def test_light_and_dark_are_drawn_and_are_not_the_same(folder: Path) -> None:
    drawn = []
    for name, flags in (("light", ()), ("dark", ("--force-dark-mode", "--blink-settings=preferredColorScheme=0"))):
        picture = folder / f"{name}.png"
        browse(folder, *flags, f"--screenshot={picture}")
        drawn.append(picture.read_bytes())
    assert all(each.startswith(b"\x89PNG") and len(each) > 50_000 for each in drawn)
    assert drawn[0] != drawn[1]
