"""How much memory a benchmark says that it took."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.peak_memory import peak_mib

_TOLD = "from benchmarks.peak_memory import peak_mib; print(peak_mib())"
_LARGE = 200 * 2**20


def test_what_the_process_took_that_started_it_does_not_count() -> None:
    held = b"x" * _LARGE
    told = float(subprocess.run([sys.executable, "-c", _TOLD], capture_output=True, check=True).stdout)
    assert len(held) / 2**20 < peak_mib()
    assert told < 100


def test_what_is_given_back_still_counts() -> None:
    took = f"held = b'x' * {_LARGE}; del held; {_TOLD}"
    told = float(subprocess.run([sys.executable, "-c", took], capture_output=True, check=True).stdout)
    assert told > 200
