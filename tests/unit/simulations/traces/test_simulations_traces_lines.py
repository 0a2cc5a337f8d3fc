"""Lines read all together are read as each would be alone: what the quick way takes, the full parser takes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.traces import access_log, mooncake
from simulations.traces.lines import LineFormat
from simulations.traces.opening import open_trace
from simulations.traces.options import ReadOptions
from simulations.traces.trace import TraceError

_WHO = st.sampled_from(
    ["10.0.0.1 - -", "::1 - ann", "a.org 10.0.0.1 - -", "- - -", "a - - -", "h - a b", "x y", "[::1] - -", "h\\x 1 - -"]
)
_TIMES = st.sampled_from(
    ["10/Oct/2023:13:55:36 +0000", "10/Oct/2023:13:55:36 -0730", "31/Feb/2023:13:55:36 +0000", "10/Oct/2023:13:55:36"]
)
_REQUESTS = st.sampled_from(['"GET / HTTP/1.1"', '""', '"GET /\\"q\\" HTTP/1.1"', '"\u00e9"', "GET", '"a" "b"'])
_SIZES = st.sampled_from(["200 17", "404 -", "20 17", "200 x", "200 17 ", "200"])
_RESTS = st.sampled_from(
    [
        "",
        ' "-" "curl/8"',
        ' "-" "curl/8" 0.25',
        ' "-" "" 12',
        ' "-" "7"',
        ' "-" "0.5" 3',
        " 1500",
        " rt=0.3",
        ' "0.125"',
        " 1e3",
    ]
)
_ACCESS = st.builds(
    lambda who, time, request, size, rest, end: f"{who} [{time}] {request} {size}{rest}{end}",
    _WHO, _TIMES, _REQUESTS, _SIZES, _RESTS, st.sampled_from(["", "\r", " "]),
)  # fmt: skip
_NUMBERS = st.sampled_from(
    ["0", "7", "007", "-1", "12345", "1.5", "999999999", "99999999999", '"3"', "true", "1e3", ""]
)
_HASHES = st.sampled_from(["", ', "hash_ids": []', ', "hash_ids": [1, 2,3]', ', "hash_ids": ["a"]', ', "hash_ids": [1'])
_MOONCAKE = st.builds(
    lambda space, at, given, made, hashes, end: (
        f'{{"timestamp":{space}{at}, "input_length":{space}{given},{space}"output_length":{space}{made}{hashes}}}{end}'
    ),
    st.sampled_from(["", " ", "  "]), _NUMBERS, _NUMBERS, _NUMBERS, _HASHES, st.sampled_from(["", "\r", " ", ",", "}"]),
)  # fmt: skip


def taken_alike(form: LineFormat, text: str) -> bool:
    """Whether the quick way takes this line; it must say what the full parser says."""
    columns = form.usual_requests(text.encode() + b"\n")
    assert len(columns.arrival) == 1
    if np.isnan(columns.arrival[0]):
        return False
    alone = form.line(text)  # and does not refuse it
    service = b"" if columns.services is None else columns.services[0]
    seconds = np.nan if columns.seconds is None else float(columns.seconds[0])
    tokens = [-1 if each is None else int(each[0]) for each in (columns.input_tokens, columns.output_tokens)]
    assert (float(columns.arrival[0]), service, *tokens) == (
        alone.arrival,
        alone.service,
        alone.input_tokens,
        alone.output_tokens,
    )
    np.testing.assert_equal(seconds, alone.seconds)
    return True


@given(_ACCESS)
def test_a_line_of_an_access_log_is_read_as_the_full_parser_reads_it(text: str) -> None:
    taken_alike(access_log.LINES, text)


@given(_MOONCAKE)
def test_a_line_of_json_is_read_as_the_full_parser_reads_it(text: str) -> None:
    taken_alike(mooncake.LINES, text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (access_log.LINES, '10.0.0.1 - - [10/Oct/2023:13:55:36 +0000] "GET / HTTP/1.1" 200 9 "-" "curl/8" 0.125'),
        (access_log.LINES, '10.0.0.1 - - [10/Oct/2023:13:55:36 +0000] "GET / HTTP/1.1" 200 9'),
        (access_log.LINES, 'a.org 10.0.0.1 - ann [10/Oct/2023:13:55:36 +0000] "GET / HTTP/1.1" 200 - 1500\r'),
        (mooncake.LINES, '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}'),
    ],
)
def test_lines_as_servers_write_them_go_the_quick_way(form: LineFormat, text: str) -> None:
    assert taken_alike(form, text)


def test_prefixes_are_not_used_and_not_looked_at_closely() -> None:
    line = b'{"timestamp": 1000, "input_length": 1, "output_length": 1, "hash_ids": [1,,2]}\n'
    assert mooncake.LINES.usual_requests(line).arrival.tolist() == [1.0]


def test_lines_of_both_ways_keep_their_order_and_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    lines = [f'{{"timestamp": {at}, "input_length": {at // 1000}, "output_length": 1}}' for at in range(0, 9000, 1000)]
    lines[3] = '{"output_length": 1, "input_length": 3, "timestamp": 3e3}'  # not as usual, and right
    lines[5] = ""
    path.write_text("\n".join([*lines, "{}"]))
    with pytest.raises(TraceError, match=r":10: timestamp is None"):
        open_trace(path)
    opened = open_trace(path, ReadOptions(skip_bad=True))
    (rows,) = opened.trace.chunks()
    assert opened.skipped == 1
    assert rows.arrival.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0]
    assert rows.input_tokens.tolist() == [0, 1, 2, 3, 4, 6, 7, 8]
