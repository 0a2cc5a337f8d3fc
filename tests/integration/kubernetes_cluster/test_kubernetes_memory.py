"""What five thousand services cost: the benchmark that prints it, held to its bound."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_MOST_MIB = 300


@pytest.mark.slow
def test_five_thousand_inference_services_fit_into_memory() -> None:
    """With three pods each, all slices, and the lists as they pass through."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kubernetes_memory", "5000"],
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    measured = json.loads(done.stdout)
    assert measured["peak_mib"] < _MOST_MIB
    assert measured["views_changed"] == 1
