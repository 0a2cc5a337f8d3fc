"""Numbers, times and texts out of bytes: exactly what Python reads, only faster; and rows put in order."""

from __future__ import annotations

import csv
import io
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.traces import table as tables
from simulations.traces.source import BadRows, Block
from simulations.traces.spool import Spool
from simulations.traces.trace import TraceError, requests

DECIMALS = st.one_of(
    st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{0,20})?", fullmatch=True),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?\.[0-9]{1,8}", fullmatch=True),
    st.integers(-(10**6), 10**6).map(str),
)
TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\0\r\n"), max_size=12)


@given(st.lists(DECIMALS, min_size=1, max_size=40))
def test_a_number_is_what_float_makes_of_it_to_the_last_bit(texts: list[str]) -> None:
    bad = BadRows("x", skip=True)
    table = tables.split(Block("".join(f"{text}\n" for text in texts).encode(), 1), 1, bad)
    values, good = tables.numbers(table, 0, "it", bad, optional=False)
    assert bool(good.all())
    assert values.tolist() == [float(text) for text in texts]


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=20))
def test_fields_are_what_the_csv_module_reads(rows: list[tuple[str, str, str]]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    table = tables.split(Block(written.getvalue().encode(), 1), 3, BadRows("x"))
    assert [tuple(table.field(row, column) for column in range(3)) for row in range(len(table))] == [
        tuple(field.strip() for field in row) for row in rows
    ]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), st.sampled_from(["", "Z", "+00:00", "+02:00"]))
def test_a_timestamp_is_what_datetime_makes_of_it(moment: datetime, zone: str) -> None:
    text = moment.isoformat(sep=" ") + zone
    table = tables.split(Block(f"{text}\n{text.replace(' ', 'T')}\n".encode(), 1), 1, BadRows("x"))
    whole, fraction, good = tables.timestamps(table, 0, "it", BadRows("x"))
    given_zone = datetime.fromisoformat(text)
    expected = (given_zone if given_zone.tzinfo else given_zone.replace(tzinfo=UTC)).timestamp()
    assert bool(good.all())
    assert (whole + fraction).tolist() == pytest.approx([expected] * 2, abs=1e-6)


@pytest.mark.parametrize(
    "text", ["2023-02-29 00:00:00", "2023-04-31 00:00:00", "2023-00-10 00:00:00", "2023-13-01 00:00:00"]
)
def test_a_day_that_does_not_exist_is_bad(text: str) -> None:
    bad = BadRows("x", skip=True)
    table = tables.split(Block(f"{text}\n".encode(), 1), 1, bad)
    assert not bool(tables.timestamps(table, 0, "it", bad)[2].any())
    assert bad.count == 1


def test_an_empty_field_is_missing_where_it_may_be() -> None:
    bad = BadRows("x", skip=True)
    table = tables.split(Block(b"a,\nb,2\n", 1), 2, bad)
    values, good = tables.numbers(table, 1, "it", bad, optional=True)
    assert math.isnan(values[0])
    assert values[1] == 2.0
    assert bool(good.all())


def spooled(arrivals: list[float], **bounds: int) -> list[float]:
    spool = Spool("x.csv", **bounds)
    for begin in range(0, len(arrivals), 7):
        part = np.array(arrivals[begin : begin + 7])
        spool.add(requests(part), np.arange(begin + 2, begin + 2 + len(part)))
    done = spool.finish()
    assert done.rows == len(arrivals)
    first, again = (np.concatenate([chunk.arrival for chunk in done.chunks()] or [np.empty(0)]) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    return [float(arrival) for arrival in first]


@given(st.lists(st.floats(0, 1e6), max_size=100), st.sampled_from([0, 5, 1000]))
def test_rows_come_out_in_order_from_memory_and_from_file(arrivals: list[float], in_memory: int) -> None:
    assert spooled(arrivals, window=10, in_memory=in_memory) == sorted(arrivals)


def test_a_large_trace_may_be_a_little_out_of_order() -> None:
    arrivals = [float(n ^ 3) for n in range(400)]
    assert spooled(arrivals, window=10, in_memory=50, whole_sort=0) == sorted(arrivals)


def test_a_large_trace_that_is_far_out_of_order_names_the_line() -> None:
    arrivals = [*map(float, range(100, 200)), 3.5, *map(float, range(200, 300))]
    with pytest.raises(TraceError, match=r"x\.csv:102: comes \d+\.500 s before a row .* more than 10 rows above it"):
        spooled(arrivals, window=10, whole_sort=0)


def test_rows_in_memory_cannot_be_changed_by_a_reader() -> None:
    spool = Spool("x.csv")
    spool.add(requests(np.array([1.0])), np.array([2]))
    chunk = next(iter(spool.finish().chunks()))
    with pytest.raises(ValueError, match="read-only"):
        chunk.arrival[0] = 5.0
