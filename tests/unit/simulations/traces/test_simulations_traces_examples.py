"""The example traces are what their README says, to the byte; and what is written can be read back."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from simulations.traces.notation import generate
from simulations.traces.opening import open_trace
from tests.unit.simulations.traces.trace_samples import assert_lawful, everything
from tests.unit.simulations.traces.trace_writing import write_trace

EXAMPLES = Path(__file__).parents[4] / "examples" / "traces"
LISTED = re.findall(r"^\| `([^`]+)` \|[^|]*\| `([^`]+)` \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)


def test_every_example_is_in_the_readme() -> None:
    assert sorted(name for name, _ in LISTED) == sorted(path.name for path in EXAMPLES.glob("*.csv*"))
    assert sum(path.stat().st_size for path in EXAMPLES.iterdir()) < 100_000


@pytest.mark.parametrize(("name", "text"), LISTED)
def test_an_example_is_what_its_generator_makes(name: str, text: str, tmp_path: Path) -> None:
    written = write_trace(generate(text, 1), tmp_path / "made.csv")
    shipped = open_trace(EXAMPLES / name)
    made = open_trace(tmp_path / "made.csv")
    assert assert_lawful(shipped.trace) == written > 500
    assert everything(shipped.trace).arrival.tobytes() == everything(made.trace).arrival.tobytes()
    assert shipped.remarks == ()


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_what_is_written_can_be_read_back(suffix: str, tmp_path: Path) -> None:
    text = "poisson:rate=5,span=5m,services=3,name=s,seconds=exponential(1),input=uniform(1,9)"
    trace = generate(text)
    path, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    assert write_trace(trace, path) == write_trace(trace, again) == assert_lawful(trace)
    assert path.read_bytes() == again.read_bytes()
    was, read = everything(trace), open_trace(path).trace
    rows = everything(read)
    assert rows.arrival.tolist() == pytest.approx(was.arrival.tolist(), abs=0.001)
    assert rows.seconds.tolist() == pytest.approx(was.seconds.tolist(), abs=0.001)
    assert rows.input_tokens.tolist() == was.input_tokens.tolist()
    assert [read.services[at] for at in rows.service] == [trace.services[at] for at in was.service]
    assert bool(np.all(rows.output_tokens == -1))
