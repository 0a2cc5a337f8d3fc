"""The windows of Knative, edge by edge: partly filled, late, silent, back-dated, resized."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.policy.scaling_policy import Aggregation
from autoscaler.signals.windows import (
    ExponentialWindow,
    LinearWindow,
    Resize,
    make_window,
    panic_window_seconds,
    round_six,
    smoothing_coefficient,
)

START = 1_700_000_000


def linear(seconds: int, *values: tuple[int, float]) -> LinearWindow:
    window = LinearWindow(seconds)
    for second, value in values:
        window.record(START + second, value)
    return window


def weighted(seconds: int, *values: tuple[int, float]) -> ExponentialWindow:
    window = ExponentialWindow(seconds)
    for second, value in values:
        window.record(START + second, value)
    return window


@pytest.mark.parametrize(
    ("written", "now", "average"),
    [
        pytest.param([(0, 10.0)], 0, 10.0, id="first second alone divides by one"),
        pytest.param([(0, 10.0), (1, 20.0)], 1, 15.0, id="partly filled divides by seconds since the first write"),
        pytest.param([(0, 10.0), (0, 5.0)], 0, 15.0, id="values of one second add up"),
        pytest.param([(0, 10.0), (3, 10.0)], 3, 5.0, id="seconds without a write between two are zeros"),
        pytest.param([(0, 1.0), (1, 1.0), (2, 4.0)], 3, 2.0, id="later reading, still within what was filled"),
        pytest.param(
            [(k, float(k)) for k in range(6)], 7, 3.5, id="later reading drops the oldest, divides by the rest"
        ),
        pytest.param([(k, 6.0) for k in range(60)], 59, 6.0, id="only the window counts"),
        pytest.param([(0, 6.0)], 5, 6.0, id="silence below the window keeps the average"),
        pytest.param([(0, 6.0)], 6, 0.0, id="silence of a whole window is zero"),
        pytest.param([(0, 6.0), (6, 3.0)], 6, 3.0, id="a write after a whole window of silence starts anew"),
        pytest.param([(0, 6.0), (5, 3.0)], 5, 1.5, id="a write just before that does not"),
        pytest.param([(5, 6.0), (2, 6.0)], 5, 3.0, id="a back-dated write moves the first write back"),
        pytest.param([(5, 6.0), (0, 6.0)], 5, 2.0, id="as long as it is younger than the window"),
        pytest.param([(6, 6.0), (0, 6.0)], 6, 6.0, id="one as old as the window is ignored"),
        pytest.param([(0, 1.0), (1, 0.0), (2, 0.0)], 2, 0.333333, id="six digits"),
        pytest.param([(0, 2.0), (1, 0.0), (2, 0.0)], 2, 0.666667, id="rounded to the nearest"),
    ],
)
def test_a_linear_window_averages(written: list[tuple[int, float]], now: int, average: float) -> None:
    assert linear(6, *written).average(START + now) == average


@pytest.mark.parametrize("aggregation", list(Aggregation))
@pytest.mark.parametrize(("silence", "empty"), [(0, False), (59, False), (60, False), (61, True)])
def test_a_window_is_empty_after_strictly_more_than_its_length(
    aggregation: Aggregation, silence: int, empty: bool
) -> None:
    window = make_window(60, aggregation)
    assert window.empty(START)
    window.record(START, 1.0)
    assert window.empty(START + silence) is empty


@pytest.mark.parametrize(("seconds", "alpha"), [(6, 0.78456), (40, 0.20567), (60, 0.2), (61, 0.2), (3600, 0.2)])
def test_the_smoothing_coefficient_follows_the_length(seconds: int, alpha: float) -> None:
    assert smoothing_coefficient(seconds) == pytest.approx(alpha, abs=5e-6)


def test_a_weighted_window_is_not_normalised_so_its_first_second_reports_a_fifth() -> None:
    assert weighted(60, (0, 100.0)).average(START) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("written", "now", "average"),
    [
        pytest.param([(0, 10.0), (1, 10.0)], 1, 10 * 0.2 + 10 * 0.2 * 0.8, id="newest weighs most"),
        pytest.param([(0, 10.0)], 3, 10 * 0.2 * 0.8**3, id="later reading inserts zero seconds"),
        pytest.param([(0, 10.0), (3, 10.0)], 3, 10 * 0.2 * (1 + 0.8**3), id="so does a gap"),
        pytest.param([(3, 10.0), (0, 10.0)], 3, 10 * 0.2 * (1 + 0.8**3), id="a back-dated write weighs by its age"),
        pytest.param([(0, 10.0)], 59, 10 * 0.2 * 0.8**59, id="the oldest second still counts"),
        pytest.param([(0, 10.0)], 60, 0.0, id="one older does not"),
        pytest.param([(0, 10.0)], 61, 0.0, id="silence beyond the window is zero"),
    ],
)
def test_a_weighted_window_averages(written: list[tuple[int, float]], now: int, average: float) -> None:
    assert weighted(60, *written).average(START + now) == pytest.approx(average, rel=1e-9)


@pytest.mark.parametrize(
    ("seconds", "how", "average"),
    [
        pytest.param(120, Resize.FORGETS_FILL, 1.0, id="Knative: as if it had been full, 60 becomes 1"),
        pytest.param(120, Resize.KEEPS_FILL, 60.0, id="ours: the average stays"),
        pytest.param(30, Resize.FORGETS_FILL, 2.0, id="Knative, shorter: full at the new length"),
        pytest.param(30, Resize.KEEPS_FILL, 60.0, id="ours, shorter"),
        pytest.param(60, Resize.FORGETS_FILL, 60.0, id="the same length changes nothing"),
    ],
)
def test_resizing_a_fresh_window(seconds: int, how: Resize, average: float) -> None:
    window = linear(60, (0, 60.0))
    window.resize(seconds, how)
    assert window.average(START) == average


@pytest.mark.parametrize("how", list(Resize))
def test_resizing_keeps_the_newest_seconds(how: Resize) -> None:
    window = linear(10, *[(k, float(k)) for k in range(20)])
    window.resize(4, how)
    assert window.average(START + 19) == (16 + 17 + 18 + 19) / 4
    window.resize(8, how)
    assert window.average(START + 19) == (16 + 17 + 18 + 19) / 4  # what was dropped is not a zero
    window.record(START + 20, 20.0)
    assert window.average(START + 20) == (16 + 17 + 18 + 19 + 20) / 5


def test_a_resized_weighted_window_weighs_by_its_new_length() -> None:
    window = weighted(60, (0, 10.0), (1, 10.0))
    window.resize(6, Resize.FORGETS_FILL)
    alpha = smoothing_coefficient(6)
    assert window.average(START + 1) == pytest.approx(10 * alpha + 10 * alpha * (1 - alpha))


@pytest.mark.parametrize(
    ("stable", "fraction", "seconds"),
    [(60, 0.10, 6), (6, 0.10, 1), (6, 0.01, 1), (45, 0.10, 5), (25, 0.10, 3), (60, 1.0, 60), (3600, 0.10, 360)],
)
def test_the_panic_window_is_whole_seconds_and_at_least_one(stable: float, fraction: float, seconds: int) -> None:
    assert panic_window_seconds(stable, fraction) == seconds


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.0000005, 0.000001), (0.0000004, 0.0), (-0.0000005, -0.000001), (1e300, 1e300), (2.5, 2.5)]
)
def test_rounding_is_half_away_from_zero(value: float, rounded: float) -> None:
    assert round_six(value) == rounded
    assert math.copysign(1.0, round_six(-0.0000004)) == 1.0


WRITES = st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1e6)), min_size=1, max_size=60)


class PlainWindow:
    """The definition, without any running sum."""

    def __init__(self, seconds: int) -> None:
        self.seconds, self.values = seconds, dict[int, float]()
        self.first: int | None = None
        self.last: int | None = None

    def record(self, second: int, value: float) -> None:
        if self.last is None or self.first is None or second - self.last >= self.seconds:
            self.values, self.first, self.last = {}, second, second
        elif second <= self.last - self.seconds:
            return
        self.first, self.last = min(self.first, second), max(self.last, second)
        self.values[second] = self.values.get(second, 0.0) + value

    def linear(self, now: int) -> float:
        assert self.last is not None
        assert self.first is not None
        if now - self.last >= self.seconds:
            return 0.0
        oldest = max(self.last, now) - self.seconds + 1
        total = math.fsum(v for s, v in self.values.items() if s >= oldest)
        return total / min(self.last - self.first + 1, self.seconds - max(0, now - self.last))

    def weighted(self, now: int) -> float:
        assert self.last is not None
        alpha, newest = smoothing_coefficient(self.seconds), max(now, self.last)
        return math.fsum(
            v * alpha * (1 - alpha) ** (newest - s) for s, v in self.values.items() if s > newest - self.seconds
        )


@settings(deadline=None)
@given(WRITES, st.integers(1, 12), st.integers(0, 15))
def test_running_sums_give_what_the_definition_gives(writes: list[tuple[int, float]], seconds: int, later: int) -> None:
    plain, by_line, by_weight = PlainWindow(seconds), LinearWindow(seconds), ExponentialWindow(seconds)
    for second, value in writes:
        for window in (plain, by_line, by_weight):
            window.record(second, value)
        now = (plain.last or 0) + later
        assert by_line.average(now) == pytest.approx(plain.linear(now), rel=1e-6, abs=2e-6)
        assert by_weight.average(now) == pytest.approx(plain.weighted(now), rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(WRITES, st.integers(1, 12), st.sampled_from(Aggregation))
def test_a_window_of_zeros_reads_exactly_zero_whatever_was_before(
    writes: list[tuple[int, float]], seconds: int, aggregation: Aggregation
) -> None:
    window = make_window(seconds, aggregation)
    for second, value in sorted(writes):
        window.record(second, value)
    for second in range(41, 41 + seconds):
        window.record(second, 0.0)
    assert window.average(40 + seconds) == 0.0


def test_a_window_needs_a_second() -> None:
    with pytest.raises(ValueError, match="at least one second"):
        make_window(0, Aggregation.LINEAR)


@given(
    st.integers(1, 8),
    st.sampled_from(Aggregation),
    st.lists(st.tuples(st.integers(-6, 30), st.integers(0, 25), st.sampled_from([0.0, 0.1, 1.0, 7.3])), max_size=12),
)
@settings(deadline=None)
def test_a_silence_counts_as_each_of_its_seconds_does(
    seconds: int, aggregation: Aggregation, written: list[tuple[int, int, float]]
) -> None:
    at_once, one_by_one = make_window(seconds, aggregation), make_window(seconds, aggregation)
    first = START
    for ahead, silent, value in written:
        first += ahead
        at_once.record_silence(first, first + silent)
        for second in range(first, first + silent + 1):
            one_by_one.record(second, 0.0)
        for window in (at_once, one_by_one):
            window.record(first + silent, value)
        for now in range(first, first + silent + 10):
            assert at_once.average(now) == one_by_one.average(now)
            assert at_once.empty(now) is one_by_one.empty(now)
        assert at_once.most() == one_by_one.most()
