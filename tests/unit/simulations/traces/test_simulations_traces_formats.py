"""Formats: each is recognised by what it begins with and read into the same columns."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

from simulations.traces.opening import FORMATS, open_or_generate, open_trace
from simulations.traces.options import ReadOptions
from simulations.traces.trace import TraceError
from tests.unit.simulations.traces.trace_samples import (
    QUANTILES,
    SAMPLES,
    assert_lawful,
    everything,
    write,
    write_gzip,
)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_format_is_recognised_by_its_content_packed_or_not(name: str, packed: bool, tmp_path: Path) -> None:
    text, form, arrivals = SAMPLES[name]
    path = (write_gzip if packed else write)(tmp_path / name, text)
    opened = open_trace(path)
    assert opened.format == form
    assert str(path.name) in opened.recognised or str(path.parent) in opened.recognised
    assert assert_lawful(opened.trace) > 0
    if arrivals is not None:
        assert everything(opened.trace).arrival.tolist() == pytest.approx(arrivals, abs=1e-9)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_trace_reads_the_same_each_time(name: str, tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path / name, SAMPLES[name][0])).trace
    first, second = everything(trace), everything(trace)
    assert first.arrival.tobytes() == second.arrival.tobytes()
    assert first.seconds.tobytes() == second.seconds.tobytes()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_can_be_named(name: str, tmp_path: Path) -> None:
    text, form, _ = SAMPLES[name]
    assert open_trace(write(tmp_path / name, text), form=form).format == form


def test_every_format_has_a_sample() -> None:
    assert {form for _, form, _ in SAMPLES.values()} == {known.name for known in FORMATS}


def test_a_format_that_does_not_fit_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"plain\.csv:1: the header of format burstgpt has Timestamp"):
        open_trace(write(tmp_path / "plain.csv", "arrival_s\n1\n"), form="burstgpt")


def test_what_no_format_begins_with_lists_them(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"no known format begins with 'a,b'.*requests, azure-llm"):
        open_trace(write(tmp_path / "x.csv", "a,b\n1,2\n"))


def test_a_file_that_belongs_to_a_trace_is_told_apart_from_one(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds durations; they go with a file of counts"):
        open_trace(write(tmp_path / "x.csv", "function,avg_ms,count\nf0,1,1\n"))


def test_columns_of_our_own_format(tmp_path: Path) -> None:
    opened = open_trace(write(tmp_path / "own.csv", SAMPLES["own.csv"][0]))
    rows = everything(opened.trace)
    assert opened.trace.services == ("a", "b")
    assert rows.service.tolist() == [0, 1, 1]
    assert rows.input_tokens.tolist() == [10, -1, -1]
    assert rows.output_tokens.tolist() == [20, -1, -1]
    assert rows.seconds[0] == 0.5
    assert bool(np.isnan(rows.seconds[1:]).all())


def test_rows_that_were_not_served_are_left_out_and_counted(tmp_path: Path) -> None:
    opened = open_trace(write(tmp_path / "m.requests.csv", SAMPLES["models.requests.csv"][0]))
    assert opened.trace.services == ("M0", "M1")
    assert everything(opened.trace).seconds.tolist() == [32.0, 5.0]
    assert any(remark.startswith("1 rows left out") for remark in opened.remarks)


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    opened = open_trace(write(tmp_path / "x.csv", "arrival_s,servce\n1,a\n"))
    assert opened.remarks == ("columns that are not used: servce",)


def test_burstgpt_has_durations_only_with_eight_columns(tmp_path: Path) -> None:
    eight = everything(open_trace(write(tmp_path / "8.csv", SAMPLES["burst8.csv"][0])).trace)
    six = everything(open_trace(write(tmp_path / "6.csv", SAMPLES["burst6.csv"][0])).trace)
    assert eight.seconds.tolist() == [43.0, 2.0]
    assert bool(np.isnan(six.seconds).all())
    assert six.input_tokens.tolist() == [472, 1087]


def test_functions_of_2021_are_sorted_by_their_beginning(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path / "f.csv", SAMPLES["functions2021.csv"][0])).trace
    assert trace.services == ("a1/f1", "a1/f2", "a2/f1")
    assert everything(trace).service.tolist() == [0, 1, 2]


def test_durations_beside_counts_are_used(tmp_path: Path) -> None:
    name = "invocations_per_function_md.anon.d01.csv"
    write(
        tmp_path / name.replace("invocations_per_function_md", "function_durations_percentiles"),
        f"HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,{QUANTILES}\n"
        "o,a,f,100,3,90,110,90,91,95,100,105,109,110\n",
    )
    opened = open_trace(write(tmp_path / name, SAMPLES[name][0]))
    rows = everything(opened.trace)
    of_f = rows.service == opened.trace.services.index("o/a/f")
    assert bool(np.all((rows.seconds[of_f] >= 0.09) & (rows.seconds[of_f] <= 0.11)))
    assert bool(np.isnan(rows.seconds[~of_f]).all())
    assert "1 functions have none there" in opened.remarks


def test_counts_come_out_in_their_bins(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path / "x.counts_60s.csv", "function,0,1,2\nf0,3,0,1\nf1,0,2,0\n")).trace
    rows = everything(trace)
    assert trace.span == 180.0
    assert np.histogram(rows.arrival[rows.service == 0], [0, 60, 120, 180])[0].tolist() == [3, 0, 1]
    assert np.histogram(rows.arrival[rows.service == 1], [0, 60, 120, 180])[0].tolist() == [0, 2, 0]


def test_seconds_without_requests_count_as_time(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path / "x.counts_1s.csv", "count\n1\n0\n0\n1\n0\n")).trace
    assert trace.span == 5.0
    assert np.floor(everything(trace).arrival).tolist() == [0.0, 3.0]


def test_a_recording_gives_back_what_arrived_each_second(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path / "run.jsonl", SAMPLES["run.jsonl"][0])).trace
    rows = everything(trace)
    assert trace.services == ("default/chat", "default/iris")
    chat = np.floor(rows.arrival[rows.service == 0]).tolist()
    iris = np.floor(rows.arrival[rows.service == 1]).tolist()
    assert chat == [0.0] * 4 + [1.0] * 2 + [2.0]
    assert iris == [1.0] * 3 + [4.0]  # one of the last two had been counted before
    assert rows.seconds[rows.service == 0].tolist() == [0.25] * 4 + [0.5] * 3


def test_a_recording_may_end_in_the_middle_of_a_line(tmp_path: Path) -> None:
    text = SAMPLES["run.jsonl"][0]
    opened = open_trace(write(tmp_path / "run.jsonl", text + text[:40]))
    assert assert_lawful(opened.trace) == 11
    assert any("is cut off" in remark for remark in opened.remarks)


def test_access_logs_say_host_and_duration_in_their_own_ways(tmp_path: Path) -> None:
    text = (
        'chat.example.com 10.0.0.1 - - [10/Oct/2023:13:55:36 +0200] "GET /a HTTP/1.1" 200 1 "-" "curl \\"x\\"" 2.500\n'
        'iris.example.com 10.0.0.1 - - [10/Oct/2023:13:55:46 +0200] "GET /a HTTP/1.1" 200 1 "-" "curl" 1500000\n'
        'iris.example.com 10.0.0.1 - - [10/Oct/2023:13:55:47 +0200] "GET /a HTTP/1.1" 200 1 "-" "Agent 7"\n'
    )
    trace = open_trace(write(tmp_path / "a.log", text)).trace
    rows = everything(trace)
    assert trace.services == ("chat.example.com", "iris.example.com")
    assert rows.seconds[:2].tolist() == [2.5, 1.5]
    assert math.isnan(rows.seconds[2])
    # nginx writes when the request ended: 13:55:36 less 2.5 s, to the second.
    assert rows.arrival[1] - rows.arrival[0] == pytest.approx(12.5, abs=1.0)


def test_requests_of_one_second_are_spread_over_it(tmp_path: Path) -> None:
    line = '10.0.0.1 - - [10/Oct/2023:13:55:36 +0000] "GET / HTTP/1.1" 200 1\n'
    rows = everything(open_trace(write(tmp_path / "a.log", line * 200)).trace)
    assert len(set(rows.arrival.tolist())) == 200
    assert 0.9 < rows.arrival[-1] < 1.0


def test_servegen_makes_requests_at_the_rates_that_were_given(tmp_path: Path) -> None:
    lines = "".join(f"{at},5.0,2.0,Gamma,0.25,8\n" for at in range(0, 60_000, 600))
    write(tmp_path / "chunk-0-trace.csv", lines)
    write(tmp_path / "chunk-1-trace.csv", lines.replace("Gamma", "Weibull"))
    dataset = {"0": {"input_tokens": "{100: 0.5, 200: 0.5}", "output_tokens": "{7: 1.0}"}}
    write(tmp_path / "chunk-0-dataset.json", json.dumps(dataset))
    opened = open_trace(tmp_path)
    rows = everything(opened.trace)
    assert opened.format == "servegen"
    assert opened.trace.span == 60_000.0
    assert len(rows.arrival) == pytest.approx(600_000, rel=0.01)
    assert set(rows.input_tokens.tolist()) == {100, 200}
    assert set(rows.output_tokens.tolist()) == {7}


def test_load_scales_rates_before_requests_are_made(tmp_path: Path) -> None:
    write(tmp_path / "chunk-0-trace.csv", "0,1000,1.0,Gamma,1,1\n")
    assert assert_lawful(open_trace(tmp_path, ReadOptions(load=0.01)).trace) == pytest.approx(6000, rel=0.1)


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.csv", SAMPLES["plain.csv"][0])
    assert open_trace(path).trace.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_of_what_is_drawn_depends_on_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "x.counts_1s.csv", "count\n3\n")
    one, two = (open_trace(path, ReadOptions(seed=seed)).trace for seed in (1, 2))
    assert one.digest != two.digest
    assert everything(one).arrival.tolist() != everything(two).arrival.tolist()


def test_a_generator_is_told_apart_from_a_path(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.csv", SAMPLES["plain.csv"][0])
    assert open_or_generate("poisson:rate=1,span=1m").format == "generator"
    assert open_or_generate(str(path)).format == "requests"
