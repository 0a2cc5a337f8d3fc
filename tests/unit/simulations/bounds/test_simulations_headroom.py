"""Headroom: the formula, the ramps it is asked of, and what the command says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.cli import main
from simulations.bounds.headroom import Question, headroom, occupancy_needed, slack_seconds
from simulations.bounds.queueing import (
    erlang_b,
    erlang_c,
    servers_by_erlang_c,
    servers_by_square_root,
)
from simulations.bounds.service_seconds import ServiceSeconds
from simulations.traces.notation import generate
from simulations.traces.trace import TraceError


def test_doubling_in_five_minutes_at_seventy_percent_leaves_129_seconds() -> None:
    assert slack_seconds(0.7, 2.0, 300.0) == pytest.approx(128.6, abs=0.1)


@given(st.floats(0.01, 0.99), st.floats(1.0, 50.0), st.floats(1.0, 1e4), st.floats(0.1, 1e4))
def test_the_occupancy_needed_is_where_slack_and_start_are_alike(
    occupancy: float, factor: float, ramp: float, start: float
) -> None:
    needed = occupancy_needed(start, factor, ramp)
    if occupancy < needed * (1 - 1e-9):
        assert slack_seconds(occupancy, factor, ramp) >= start * (1 - 1e-9)
    if occupancy > needed * (1 + 1e-9):
        assert slack_seconds(occupancy, factor, ramp) <= start * (1 + 1e-9)


def test_erlang_formulas_give_the_textbook_values() -> None:
    assert erlang_b(10, 7.0) == pytest.approx(0.0787, abs=1e-4)
    assert erlang_c(10, 7.0) == pytest.approx(0.2217, abs=1e-4)
    assert erlang_c(1, 0.6) == pytest.approx(0.6)  # M/M/1: the share of time it is busy
    assert erlang_c(5, 5.0) == erlang_c(5, 6.0) == 1.0


@given(st.floats(0.1, 500), st.floats(0.001, 0.5))
def test_servers_are_the_least_that_keep_the_probability(offered: float, probability: float) -> None:
    servers = servers_by_erlang_c(offered, probability)
    assert erlang_c(servers, offered) <= probability
    assert servers == 1 or erlang_c(servers - 1, offered) > probability
    assert abs(servers_by_square_root(offered, probability) - servers) <= 3


def test_a_step_up_is_found_where_it_is() -> None:
    trace = generate("spike:base=20,height=100,at=30m,width=15m,seconds=2,span=1h", seed=3)
    found = headroom(trace, Question(start_seconds=60.0, occupancy=0.7, slots=8), ServiceSeconds())
    worst = found.ramps[0]
    assert not found.holds
    assert 1740 <= worst.at <= 1860
    assert worst.factor == pytest.approx(5.0, rel=0.2)
    assert found.occupancy_needed < 0.35
    assert found.sizing[0].offered == pytest.approx(200, rel=0.1)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize(
    ("load", "start"),
    [("rate=0.1,seconds=60,span=6h", 45.0), ("rate=0.1,seconds=60,span=6h", 8.0), ("rate=50,seconds=1,span=1h", 8.0),
     ("rate=5,seconds=exponential(2),span=4h", 8.0), ("rate=0.05,seconds=10,span=6h", 45.0)],
)  # fmt: skip
def test_what_chance_does_to_a_steady_load_is_no_ramp(load: str, start: float, slots: int, seed: int) -> None:
    steady = generate(f"poisson:{load}", seed=seed)
    assert headroom(steady, Question(start, 0.7, slots), ServiceSeconds()).holds


def test_a_rise_from_nearly_nothing_to_more_than_one_replica_takes_is_a_ramp() -> None:
    # 0.1 in service, then 4.5 of the four that one replica takes: small numbers, but of requests that take 0.25 s.
    trace = generate("spike:base=0.4,height=18,at=10m,width=3m,seconds=0.25,span=20m")
    found = headroom(trace, Question(45.0, 0.7, slots=4), ServiceSeconds())
    assert not found.holds
    assert found.ramps[0].at == pytest.approx(600.0, abs=15.0)


def test_a_slow_ramp_is_held() -> None:
    trace = generate("ramp:from=20,to=40,begin=10m,end=50m,seconds=2,span=1h")
    assert headroom(trace, Question(start_seconds=60.0, occupancy=0.6, slots=8), ServiceSeconds()).holds


def test_a_shorter_start_holds_what_a_longer_one_does_not() -> None:
    trace = generate("ramp:from=20,to=80,begin=20m,end=25m,cv=0.1,seconds=2,span=1h")
    short, long = (headroom(trace, Question(seconds, 0.7, 8), ServiceSeconds()) for seconds in (30.0, 300.0))
    assert short.holds
    assert not long.holds
    assert long.start_needed < 300.0


def test_a_trace_that_begins_in_the_middle_of_its_load_is_no_ramp() -> None:
    trace = generate("poisson:rate=50,cv=0.2,seconds=10,span=30m")
    assert headroom(trace, Question(start_seconds=60.0, occupancy=0.7, slots=8), ServiceSeconds()).holds


def test_requests_after_a_long_idle_time_are_wakes() -> None:
    trace = generate("spike:base=0,height=2,at=10m,width=1m,every=30m,seconds=1,span=3h")
    found = headroom(trace, Question(start_seconds=60.0, slots=8), ServiceSeconds())
    assert found.sizing[0].wakes == 6


def test_durations_come_from_the_trace_then_from_tokens_then_from_the_user() -> None:
    question = Question(start_seconds=60.0)
    with pytest.raises(TraceError, match="duration of requests is not recorded"):
        headroom(generate("poisson"), question, ServiceSeconds())
    by_hand = headroom(generate("poisson:rate=10"), question, ServiceSeconds(otherwise=3.0)).sizing[0].mean
    by_tokens = (
        headroom(generate("poisson:rate=10,output=100"), question, ServiceSeconds(per_output=0.03)).sizing[0].mean
    )
    assert by_hand == pytest.approx(30.0, rel=0.02)
    assert by_tokens == pytest.approx(30.0, rel=0.02)


# --- the command


def test_the_command_answers_yes_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["headroom", "poisson:rate=40,seconds=2,span=1h", "--slots", "8", "--startup", "30"]) == 0
    assert capsys.readouterr().out.startswith("Yes: at occupancy 0.7 what stands idle")


def test_the_command_answers_no_with_status_1_and_says_what_would_help(capsys: pytest.CaptureFixture[str]) -> None:
    trace = "spike:base=20,height=100,at=30m,width=15m,seconds=2,span=1h"
    assert main(["headroom", trace, "--slots", "8", "--profile", "llm-70b"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("No: spike goes to")
    assert "A reactive policy would need an occupancy of at most 0." in out
    assert "profile llm-70b, quantile 0.95" in out


def test_the_command_writes_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["headroom", "poisson:rate=40,span=1h", "--seconds", "2", "--startup", "30", "--json", "--load", "0.5"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["start_seconds"] == 30.0
    assert answer["sizing"][0]["mean"] == pytest.approx(40.0, rel=0.05)
    assert len(answer["trace"]["digest"]) == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv"], "nothing.csv: No such file or directory"),
        (["poisson"], "the duration of requests is not recorded: say how long one takes (--seconds)"),
        (["poisson:seconds=1", "--profile", "x"], "there is no profile 'x'"),
        (["poisson:seconds=1", "--service", "x"], "x is not in poisson:seconds=1; it has poisson"),
        (["poisson:seconds=1", "--from", "2h"], "is not a stretch of"),
        (["poison:rate=1"], "poison:rate=1: no such file, and 'poison' is no generator; there are poisson, "),
        (["poisson:speed=1"], "'speed' is not a key of poisson"),
        (["poisson:seconds=1", "--durations", "x"], "--durations x: goes with a trace of format azure-functions-2019"),
        (["poisson:seconds=1", "--tokens", "x"], "--tokens x: goes with a trace of format servegen-rates"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["headroom", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("pilotlight: error: ")
    assert message in said


def test_skipped_rows_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("arrival_s,seconds\n1,1\nx,1\n2,1\n")
    main(["headroom", str(path), "--skip-bad"])
    assert "1 bad row was skipped; the first: " in capsys.readouterr().out
