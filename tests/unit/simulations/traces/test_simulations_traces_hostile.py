"""What comes from outside: bad rows are named or counted, and nothing grows without bound."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulations.traces import source as sources
from simulations.traces.opening import FORMATS, open_trace
from simulations.traces.options import ReadOptions
from simulations.traces.trace import TraceError
from tests.unit.simulations.traces.trace_samples import SAMPLES, assert_lawful, everything, write

SKIP = ReadOptions(skip_bad=True)

BAD_ROWS = [
    ("arrival_s\n1\nx\n2\n", r":3: arrival_s is 'x'; a finite number is needed"),
    ("arrival_s\n1\nnan\n2\n", r":3: arrival_s is 'nan'; a finite number is needed"),
    ("arrival_s\n1\n1e999\n2\n", r":3: arrival_s is '1e999'; a finite number is needed"),
    ("arrival_s\n1\n-2\n2\n", r":3: arrival_s is -2; 0 to 1e\+10 seconds is allowed"),
    ("arrival_s\n1\n1e11\n2\n", r":3: arrival_s is 1e\+11; 0 to 1e\+10 seconds is allowed"),
    ("arrival_s\n1\n1_0\n2\n", r":3: arrival_s is '1_0'; a finite number is needed"),
    ("arrival_s\n1\n.\n2\n", r":3: arrival_s is '\.'; a finite number is needed"),
    ("arrival_s\n1\n-\n2\n", r":3: arrival_s is '-'; a finite number is needed"),
    ("arrival_s\n1\n1.2.3\n2\n", r":3: arrival_s is '1\.2\.3'; a finite number is needed"),
    ("arrival_s,seconds\n1,\n1,-0.5\n2,3\n", r":3: seconds is -0\.5; 0 to"),
    ("arrival_s,input_tokens\n1,5\n1,5.5\n2,3\n", r":3: input tokens is 5\.5; a whole number is needed"),
    ("arrival_s,output_tokens\n1,5\n1,3000000000\n2,3\n", r":3: output tokens is 3e\+09; 0 to"),
    ("arrival_s,requests\n1,5\n1,1000000\n2,3\n", r":3: requests is 1e\+06; 0 to 10000"),
    ("arrival_s,service\n1,a\n1,\n2,a\n", r":3: service has 0 bytes; 1 to 256"),
    ("arrival_s,service\n1,a\n1,\x1b[2J\n2,a\n", r":3: the service is '\\x1b\[2J'; printable text"),
    ("arrival_s,service\n1,a\n1\n2,a\n", r":3: 1 fields; a row has 2"),
    ("arrival_s,service\n1,a\n1,b,c\n2,a\n", r":3: 3 fields; a row has 2"),
    ('arrival_s,service\n1,a\n1,"b\n2,a\n', r":3: 1 fields; a row has 2"),
    (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,1\n2023-11-16 18:61:46,1,1\n",
        r":3: TIMESTAMP is '2023-11-16 18:61:46'; a time like",
    ),
    ("count\n1\n-1\n", r":3: count is -1; a whole number from 0"),
    ("count\n1\n1.5\n", r":3: count is 1\.5; a whole number from 0"),
    ("function,0,1\nf,1,0\ng,1,x\n", r":3: a count is 'x'; a finite number"),
    ('{"timestamp":0,"input_length":1,"output_length":1}\n{"timestamp":-5,"input_length":1}\n', r":2: timestamp is -5"),
    ('{"timestamp":0,"input_length":1,"output_length":1}\n[]\n', r":2: a JSON object is needed"),
    ('{"timestamp":0,"input_length":1,"output_length":1}\nnull,\n', r":2: not JSON"),
    (
        '{"timestamp":0,"input_length":1,"output_length":1}\n' + "[" * 100_000 + "\n",
        r":2: not JSON that can be read: it is nested too deeply",
    ),
    *(
        (f"client,bin_start_s,rate_rps,iat_cv,iat_family\n0,0,1,1,G\n{row}\n1,0,1,1,W\n", rf":3: {message}")
        for row, message in (
            ("0", "the row ends before bin_start_s"),
            ("x,600,1,1,G", "client is 'x'; a number from 0 to 999999 is needed"),
            ("0.5,600,1,1,G", "client is '0.5'; a whole number is needed"),
            ("0,7,1,1,G", "a bin begins at a multiple of 600 s, not at 7"),
            ("0,600,much,1,G", r"rate_rps is 'much'; a number from 0 to 1e\+06 is needed"),
            ("0,600,1,nan,G", "iat_cv is 'nan'; a number from 0 to inf is needed"),
            ("0,600,1,1,Pareto", "iat_family is 'Pareto'; there are G, Gamma, W, Weibull, Exponential"),
            ("0,600,1,1", "the row ends before iat_family"),
        )
    ),
    (SAMPLES["access.log"][0] + "nonsense\n", r":3: not an access log line"),
    (SAMPLES["access.log"][0].replace("2023:13:55:40", "2023:25:55:40"), r":2: the time is '10/Oct/2023:25:55:40"),
]


@pytest.mark.parametrize(("text", "message"), BAD_ROWS)
def test_a_bad_row_is_named_with_file_line_and_what_is_allowed(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"bad\.txt" + message):
        open_trace(write(tmp_path / "bad.txt", text))


@pytest.mark.parametrize(("text", "message"), [case for case in BAD_ROWS if "count\n" not in case[0]])
def test_bad_rows_can_be_skipped_and_are_counted(text: str, message: str, tmp_path: Path) -> None:
    opened = open_trace(write(tmp_path / "bad.txt", text), SKIP)
    assert opened.skipped == 1
    assert opened.first_bad is not None
    assert assert_lawful(opened.trace) > 0


def test_a_bad_second_of_counts_keeps_its_place(tmp_path: Path) -> None:
    opened = open_trace(write(tmp_path / "x.txt", "count\n1\nx\n1\n"), SKIP)
    assert opened.skipped == 1
    assert opened.trace.span == 3.0


def test_a_row_with_two_mistakes_is_one_bad_row(tmp_path: Path) -> None:
    text = "arrival_s,seconds,input_tokens\n1,1,1\nx,-1,z\n"
    assert open_trace(write(tmp_path / "x.csv", text), SKIP).skipped == 1


def test_where_every_row_is_bad_the_first_is_named(tmp_path: Path) -> None:
    for text in ("arrival_s\nx\n", "count\nx\n", '{"timestamp":-1,"input_length":1}\n'):
        with pytest.raises(TraceError, match=r"there is no request in it; 1 bad row was skipped, the first: .*x\.csv:"):
            open_trace(write(tmp_path / "x.csv", text), SKIP)


def test_bad_rows_of_token_lengths_are_named_and_counted(tmp_path: Path) -> None:
    rates = write(tmp_path / "m.client_rates_600s.csv", "client,bin_start_s,rate_rps,iat_cv,iat_family\n0,0,1,1,G\n")
    rows = "client,window_start_s,field,mean,p50,p100\n0,0,output_tokens,5,5,9\n0,nan,output_tokens,5,5,9\n"
    write(tmp_path / "m.token_quantiles.csv", rows)
    with pytest.raises(TraceError, match=r"token_quantiles\.csv:3: window_start_s is 'nan'; a number from 0"):
        open_trace(rates)
    opened = open_trace(rates, SKIP)
    assert opened.skipped == 1
    assert set(everything(opened.trace).output_tokens.tolist()) <= set(range(5, 10))


def test_mostly_bad_rows_are_another_format(tmp_path: Path) -> None:
    text = "arrival_s\n1\n" + "x\n" * 1100
    with pytest.raises(TraceError, match=r"1001 bad rows, 0 good; the first: .*x\.csv:3"):
        open_trace(write(tmp_path / "x.csv", text), SKIP)


@pytest.mark.parametrize("text", ["", "\n\n", "arrival_s\n", "count\n", "count\n0\n0\n", "function,0\nf,0\n"])
def test_a_trace_without_requests_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"x\.csv"):
        open_trace(write(tmp_path / "x.csv", text))


def test_quoted_fields_exponents_blanks_and_carriage_returns_are_read(tmp_path: Path) -> None:
    text = 'arrival_s,service\r\n 1 ,a\r\n"2",b\r\n3e0,"c,d"\r\n\r\n+4,e\r\n'
    trace = open_trace(write(tmp_path / "x.csv", text)).trace
    assert everything(trace).arrival.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert trace.services == ("a", "b", "c,d", "e")


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfarrival_s\n1\n")
    assert everything(open_trace(path).trace).arrival.tolist() == [1.0]


def test_a_line_that_never_ends_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"arrival_s\n" + b"1" * (6 << 20))
    with pytest.raises(TraceError, match=r"x\.csv:2: the line is longer than 1048576 bytes"):
        open_trace(path)


def test_binary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"arrival_s\n1\n\0\0\n")
    with pytest.raises(TraceError, match=r"x\.csv:3: a NUL byte"):
        open_trace(path)


def test_a_file_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_BOMB_BYTES", 1 << 20)
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"arrival_s\n" + b"1\n" * (8 << 20)))
    with pytest.raises(TraceError, match="unpacks to more than 200 times its size"):
        open_trace(path)


def test_a_damaged_gzip_file_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"arrival_s\n" + b"1\n" * 50_000)[:-20])
    with pytest.raises(TraceError, match="the gzip file is damaged or cut off"):
        open_trace(path)


def test_a_bin_with_too_many_requests_to_draw_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"f{n},10000000\n" for n in range(3))
    with pytest.raises(TraceError, match=r"3e\+07 requests in 60 s; 10000000 are allowed"):
        open_trace(write(tmp_path / "x.csv", "function,0\n" + rows))


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        open_trace(tmp_path / "nothing")
    with pytest.raises(TraceError, match="is not a regular file"):
        open_trace(Path("/dev/null"))
    with pytest.raises(TraceError, match=r"no chunk-N-trace\.csv in it"):
        open_trace(tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(SAMPLES)), data=st.data())
def test_a_damaged_file_is_read_or_refused_in_words(name: str, data: st.DataObject, tmp_path: Path) -> None:
    text = SAMPLES[name][0].encode()
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 12)))
    damaged = text[:begin] + data.draw(st.binary(max_size=12)) + text[end:]
    path = tmp_path / name
    path.write_bytes(damaged)
    try:
        opened = open_trace(path, SKIP)
    except TraceError:
        return
    if opened.trace.span < 1e5:
        assert_lawful(opened.trace)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(sorted(known.name for known in FORMATS)), content=st.binary(max_size=200))
def test_any_bytes_as_any_format_are_refused_in_words(form: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "chunk-0-trace.csv"
    path.write_bytes(content)
    try:
        open_trace(path, form=form)
    except TraceError:
        pass
