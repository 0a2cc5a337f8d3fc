"""How durations, numbers and quantities are written and read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policy.amounts import Number, Quantity
from autoscaler.policy.notation import (
    NotAllowedError,
    read_bytes,
    read_number,
    read_seconds,
    read_whole,
    write_bytes,
    write_number,
    write_seconds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1h", 3600),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1.s", 1),
        ("1h0m0.25s", 3600.25),
        ("30s1m", 90),  # Go does not mind the order
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("250\u03bcs", 0.00025),
        ("1ns", 1e-9),
        ("+5s", 5),
        ("-5s", -5),
        ("0", 0),
        ("-0", 0),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert float(read_seconds(text)) == seconds


@pytest.mark.parametrize("text", ["60", "1.5", "1e3", "-60", "007"])
def test_a_bare_number_is_told_that_its_unit_is_missing(text: str) -> None:
    with pytest.raises(NotAllowedError, match=f"has no unit: write {text}s"):
        read_seconds(text)


@pytest.mark.parametrize(
    "text",
    ["", "s", "1 s", "60S", "1d", "60sec", "1m 30s", "1,5s", "--1s", "1s-", "1e3s", "\u0661s", "1m30", "NaN", "infs"],
)
def test_what_go_would_not_read_is_no_duration(text: str) -> None:
    with pytest.raises(NotAllowedError):
        read_seconds(text)


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-Inf", "+infinity", ".inf", ".NaN", "nan%"])
def test_nan_and_infinity_are_called_not_finite(text: str) -> None:
    with pytest.raises(NotAllowedError, match="not a finite number"):
        read_number(text)


@pytest.mark.parametrize("text", ["", "1_000", "0x10", "1,5", "1e", "e3", "1e99999", "1/2", "\u0661", "one", "1 "])
def test_other_ways_to_write_a_number_are_refused(text: str) -> None:
    with pytest.raises(NotAllowedError, match="not a number"):
        read_number(text)


@pytest.mark.parametrize("text", ["1.0", "1e3", "", "1 ", "0x1", "\u0661", "1_0"])
def test_a_whole_number_is_digits_alone(text: str) -> None:
    with pytest.raises(NotAllowedError, match="not a whole number"):
        read_whole(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("4096", 4096), ("1k", 1000), ("1Ki", 1024), ("64Mi", 64 * 2**20), ("1.5Gi", 3 * 2**29), ("2T", 2 * 10**12)],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, count: int) -> None:
    assert read_bytes(text) == count


@pytest.mark.parametrize("text", ["64MB", "64mi", "64KiB", "100m", "1Pi", "1e6", "Mi", "64 Mi", "", "nan"])
def test_what_is_no_quantity_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(NotAllowedError):
        read_bytes(text)


def test_a_unit_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(NotAllowedError, match="unit MB, which is not one of k, M, G, T, Ki, Mi, Gi, Ti"):
        Quantity(1, 2**40).parse("64MB")


def test_a_part_of_a_byte_is_refused() -> None:
    with pytest.raises(NotAllowedError, match="whole number of bytes"):
        Quantity(1, 2**40).parse("1.0001k")


def test_more_than_one_by_less_than_a_float_can_hold_is_not_more_than_one() -> None:
    with pytest.raises(NotAllowedError, match="not greater than 1"):
        Number(1, 10, exclusive=True).parse("1.000000000000000000000001")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.01, "10ms"),
        (0.1, "100ms"),
        (1, "1s"),
        (90, "1m30s"),
        (600, "10m"),
        (86400, "24h"),
        (61.5, "1m1.5s"),
    ],
)
def test_a_duration_is_written_the_way_a_person_would(seconds: float, text: str) -> None:
    assert write_seconds(seconds) == text


@given(st.integers(0, 10**8).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_that_was_written_reads_back_the_same(seconds: float) -> None:
    assert float(read_seconds(write_seconds(seconds))) == pytest.approx(seconds, rel=1e-5)


@given(st.integers(0, 10**7))
def test_a_whole_duration_reads_back_exactly(seconds: int) -> None:
    assert read_seconds(write_seconds(seconds)) == seconds


@given(st.integers(1, 2**45))
def test_a_quantity_that_was_written_reads_back_the_same(count: int) -> None:
    assert read_bytes(write_bytes(count)) == count


@pytest.mark.parametrize(
    ("number", "text"), [(2**31 - 1, "2147483647"), (1e9, "1000000000"), (0.01, "0.01"), (1.1, "1.1")]
)
def test_bounds_are_shown_without_exponents(number: float, text: str) -> None:
    assert write_number(number) == text
