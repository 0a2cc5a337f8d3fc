"""Where compiled code is kept, and that nothing is lost where it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """
from simulations.plant import compile
modules = [compile.records]
folder = compile._cache_folder(modules, "1")
print(folder)
"""


def cache_folder(environment: dict[str, str]) -> str:
    told = subprocess.run(
        [sys.executable, "-c", _RUN], env=os.environ | environment, check=True, capture_output=True, text=True
    )
    return told.stdout.strip()


def test_compiled_code_is_kept_in_the_users_cache(tmp_path: Path) -> None:
    folder = Path(cache_folder({"PILOTLIGHT_CACHE": str(tmp_path)}))
    assert folder.parent == tmp_path / "pilotlight"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_without_a_folder_that_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert cache_folder({"PILOTLIGHT_CACHE": str(in_the_way)}) == "None"


def test_without_numba_the_plain_core_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from simulations.plant import plant
    from simulations.run import simulate
    from simulations.scenario import Scenario
    from tests.unit.simulations.plant.plant_worlds import Arrivals, Script, service

    monkeypatch.setattr(plant, "can_compile", lambda: False)
    assert not simulate(Scenario((service(),)), Arrivals([1.0]), [Script()]).compiled
