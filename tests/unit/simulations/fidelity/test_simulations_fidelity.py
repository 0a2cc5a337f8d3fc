"""A real run beside its simulation: what is read off the one, what is told of the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulator_fidelity import main, read_runs
from simulations.fidelity.aibrix import (
    ENGINE,
    LONGEST_ANSWER,
    FidelityError,
    Replay,
    lead_of,
    make_policy,
    measured,
    predict,
    tokens_of,
)
from simulations.traces.measured_run import MeasuredRun
from tests.unit.simulations.policies.policy_observations import observed


def a_run(
    name: str = "chat_kpa",
    latency: tuple[float, ...] = (1.0, 3.0, float("nan")),
    tokens: tuple[float, ...] = (10.0, 50.0, float("nan")),
    pods: tuple[tuple[float, int, int], ...] = ((0.0, 1, 0), (600.0, 1, 0)),
) -> MeasuredRun:
    sent = np.arange(len(latency), dtype=np.float64) * 10.0 + 1.0
    at, running, pending = (np.array(column, np.float64) for column in zip(*pods, strict=True))
    return MeasuredRun(name, sent, np.array(latency), np.array(tokens), at, running, pending)


def test_an_answer_s_length_is_the_median_of_those_that_were_whole() -> None:
    other = a_run(latency=(float("nan"), 3.0, float("nan")), tokens=(99.0, 70.0, 5.0))
    assert tokens_of([a_run(), other]).tolist() == [10.0, 60.0, LONGEST_ANSWER]


def test_runs_of_different_loads_are_refused() -> None:
    with pytest.raises(FidelityError, match="not of one load"):
        tokens_of([a_run(), a_run(latency=(1.0,), tokens=(1.0,))])


@pytest.mark.parametrize(
    ("name", "pods", "lead"),
    [
        pytest.param("x_kpa", ((0.0, 8, 0), (174.0, 7, 0), (200.0, 4, 0)), 70.4, id="it had kept them for 70 s before"),
        pytest.param("x_hpa", ((0.0, 8, 0), (218.0, 7, 0)), 101.4, id="or for 101"),
        pytest.param("x_apa", ((0.0, 8, 0), (4.0, 4, 0)), 0.0, id="it keeps nobody"),
        pytest.param("x_kpa", ((0.0, 1, 0), (300.0, 2, 0), (600.0, 1, 0)), 0.0, id="there was one to begin with"),
        pytest.param("x_kpa", ((0.0, 2, 0), (300.0, 3, 0)), 0.0, id="none went"),
    ],
)
def test_how_long_an_autoscaler_had_run_shows_in_its_first_pod_that_goes(
    name: str, pods: tuple[tuple[float, int, int], ...], lead: float
) -> None:
    assert lead_of(a_run(name, pods=pods)) == pytest.approx(lead)


def test_a_replay_orders_a_step_down_a_grace_before_it_was_seen() -> None:
    replay = Replay(a_run(pods=((0.0, 2, 0), (100.0, 2, 1), (103.0, 3, 0), (300.0, 1, 0))))
    assert [replay.step(observed(at)).replicas for at in (0.0, 99.0, 104.0, 269.0, 271.0)] == [2, 2, 3, 3, 1]


def test_an_autoscaler_whose_rule_is_not_published_is_not_guessed() -> None:
    with pytest.raises(FidelityError, match="optimizer-kpa"):
        make_policy("optimizer-kpa")


def test_requests_that_never_meet_take_what_the_engine_takes_alone() -> None:
    run = a_run()
    ours = predict(run, tokens_of([run]), 90.0)
    reading = ENGINE.prefill * ENGINE.input_tokens
    token = ENGINE.alpha + ENGINE.beta
    assert ours.mean_of_completed == pytest.approx(reading + (9 + 49) / 2 * token)
    assert ours.mean == pytest.approx(reading + (9 + 49 + LONGEST_ANSWER - 1) / 3 * token)
    assert ours.gpu_hours == pytest.approx(600.0 / 3600.0)
    assert measured(run).gpu_hours == pytest.approx(600.0 / 3600.0)
    assert (measured(run).completed, measured(run).failed, measured(run).mean) == (2, 1, 2.0)


def written(folder: Path, name: str) -> None:
    rows = "\n".join(f"{at}.0,{at},0.9,30,ok" for at in range(1, 40))
    (folder / f"{name}.measured_requests.csv").write_text(f"send_s,batch,latency_s,output_tokens,status\n{rows}\n")
    (folder / f"{name}.pods.csv").write_text("t_s,running,pending,init\n0.0,1,0,0\n60.0,1,0,0\n")


def test_the_command_says_each_run_and_whether_the_aims_are_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "b_kpa")
    written(tmp_path, "b_apa")
    assert [run.name for run in read_runs(tmp_path)] == ["b_apa", "b_kpa"]
    assert main([str(tmp_path), "apa", "--start", "60"]) == 0
    said = capsys.readouterr().out
    assert "b_apa" in said
    assert "b_kpa" not in said
    assert "NOT" not in said


def test_what_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "there is no *.measured_requests.csv" in capsys.readouterr().err
    written(tmp_path, "b_apa")
    assert main([str(tmp_path)]) == 2
    assert "--start" in capsys.readouterr().err
