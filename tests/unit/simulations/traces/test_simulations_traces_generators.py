"""Generated and changed traces: the rates and variations asked for, and the same requests each time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.traces.distributions import parse_distribution
from simulations.traces.generators import MixedTrace
from simulations.traces.notation import GENERATORS, generate
from simulations.traces.randomness import stream
from simulations.traces.renewal import Gaps, renewals, weibull_shape
from simulations.traces.trace import Requests, Trace, TraceError, cut, requests
from simulations.traces.transforms import repeat, scale_load, select, warp_burstiness, window
from tests.unit.simulations.traces.trace_samples import assert_lawful, everything

NOTATIONS = [
    "poisson:rate=20,span=1h",
    "gamma:rate=20,cv=3,span=1h,services=5,zipf=1.2",
    "weibull:rate=5,cv=2,span=2h,seconds=lognormal(1,4),input=uniform(10,20),output=exponential(100)",
    "mmpp:low=1,high=40,low-for=5m,high-for=30s,span=2h",
    "diurnal:mean=5,peak=1.9,period=1h,top=0s,span=2h",
    "spike:base=1,height=100,at=10m,width=30s,every=20m,span=1h",
    "ramp:from=0,to=20,begin=10m,end=50m,span=1h",
    "poisson:rate=3,name=a,span=1h+spike:base=0,height=40,name=b,span=2h+poisson:rate=0.01,name=a,span=3h",
]


@pytest.mark.parametrize("text", NOTATIONS)
def test_a_generated_trace_keeps_the_laws_of_traces(text: str) -> None:
    assert assert_lawful(generate(text)) > 0


@pytest.mark.parametrize("text", NOTATIONS)
def test_the_same_text_and_seed_give_the_same_requests_and_another_seed_others(text: str) -> None:
    one, again, other = generate(text, 7), generate(text, 7), generate(text, 8)
    assert one.digest == again.digest != other.digest
    assert everything(one).arrival.tobytes() == everything(again).arrival.tobytes()
    assert everything(one).arrival.tobytes() != everything(other).arrival.tobytes()


def test_a_digest_is_of_what_is_meant_and_not_of_how_it_is_written() -> None:
    assert generate("poisson:rate=1,span=1h").digest == generate("poisson:span=60m,rate=1.0").digest
    assert generate("poisson:rate=1,span=1h").digest != generate("poisson:rate=1,span=1h,cv=2").digest


def test_chunks_begun_twice_at_a_time_do_not_disturb_one_another() -> None:
    trace = generate("gamma:rate=100,span=1h")
    for one, two in zip(trace.chunks(), trace.chunks(), strict=True):
        assert one.arrival.tobytes() == two.arrival.tobytes()


@pytest.mark.parametrize("family", Gaps)
@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0, 5.0])
def test_gaps_have_the_mean_and_the_variation_that_was_asked_for(family: Gaps, cv: float) -> None:
    arrivals = renewals(stream(1, "test"), 200_000.0, cv, family)
    gaps = np.diff(arrivals)
    assert gaps.mean() == pytest.approx(1.0, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


@pytest.mark.parametrize("family", Gaps)
@pytest.mark.parametrize(("length", "cv"), [(0.2, 4.0), (3.0, 4.0), (50.0, 0.2)])
def test_a_stretch_has_as_many_arrivals_as_it_is_long_however_short(family: Gaps, length: float, cv: float) -> None:
    blocks = 4_000
    counts = np.array([len(renewals(stream(1, "test", block), length, cv, family)) for block in range(blocks)])
    error = counts.std() / blocks**0.5
    assert abs(counts.mean() - length) < 4 * error


def test_the_weibull_shape_gives_the_variation_back() -> None:
    assert weibull_shape(1.0) == pytest.approx(1.0)
    assert weibull_shape(0.5227232) == pytest.approx(2.0, rel=1e-4)  # Rayleigh: sqrt(4/π − 1)


@pytest.mark.parametrize(
    ("text", "bins", "rates"),
    [
        ("ramp:from=0,to=20,begin=0s,end=1h,span=1h", 4, [2.5, 7.5, 12.5, 17.5]),
        ("spike:base=1,height=50,at=15m,width=15m,span=1h", 4, [1, 50, 1, 1]),
        ("diurnal:mean=10,peak=2,period=1h,top=0s,span=1h", 4, [16.37, 3.63, 3.63, 16.37]),
    ],
)
def test_rates_follow_the_curve(text: str, bins: int, rates: list[float]) -> None:
    trace = generate(text)
    found = np.histogram(everything(trace).arrival, bins, (0.0, trace.span))[0] / (trace.span / bins)
    assert found.tolist() == pytest.approx(rates, rel=0.06, abs=0.1)


def test_services_are_asked_for_by_their_popularity() -> None:
    trace = generate("poisson:rate=100,span=1000s,services=3,zipf=1")
    shares = np.bincount(everything(trace).service) / (100 * 1000)
    assert trace.services == ("poisson-0", "poisson-1", "poisson-2")
    assert shares.tolist() == pytest.approx([6 / 11, 3 / 11, 2 / 11], rel=0.05)


def test_parts_of_one_name_are_one_service() -> None:
    trace = generate("poisson:rate=1,name=a+poisson:rate=1,name=b+poisson:rate=1,name=a")
    assert isinstance(trace, MixedTrace)
    assert trace.services == ("a", "b")
    assert np.bincount(everything(trace).service).tolist() == pytest.approx([7200, 3600], rel=0.1)


def test_parts_that_are_alike_do_not_send_at_the_same_moments() -> None:
    arrivals = everything(generate("poisson:rate=1,name=a+poisson:rate=1,name=b")).arrival
    assert len(set(arrivals.tolist())) == len(arrivals)


@pytest.mark.parametrize(
    ("text", "mean", "p95"),
    [
        ("3", 3.0, 3.0),
        ("exponential(2)", 2.0, 5.99),
        ("uniform(1,3)", 2.0, 2.9),
        ("lognormal(1,5)", 1.614, 5.0),
        ("gamma(4,0.5)", 4.0, 7.75),
        ("pareto(1,3)", 1.5, 2.714),
    ],
)
def test_distributions_have_the_moments_they_are_named_by(text: str, mean: float, p95: float) -> None:
    drawn = parse_distribution(text).draw(stream(1, "test"), 200_000)
    assert drawn.mean() == pytest.approx(mean, rel=0.03)
    assert np.quantile(drawn, 0.95) == pytest.approx(p95, rel=0.03)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poison:rate=1", "'poison' is not a generator; there are poisson, gamma"),
        ("poisson:rat=1", "'rat' is not a key of poisson; there are rate, name, seconds"),
        ("poisson:rate=-1", "'-1' is not a number from 0 to 1e.06"),
        ("poisson:rate=nan", "'nan' is not a number"),
        ("poisson:rate", "'rate' is not KEY=VALUE"),
        ("poisson:rate=1,rate=2", "rate is given twice"),
        ("poisson:span=1w", "'1w' is not a time like 90s"),
        ("poisson:span=0", "span must be more than 0 s"),
        ("poisson:rate=1000000,span=400d", r"3\.5e.13 requests; 1e.11 are allowed"),
        ("poisson:seconds=normal(1,2)", r"'normal\(1,2\)' is not a distribution; there are a number, fixed\(value\)"),
        ("poisson:seconds=lognormal(5,1)", "needs 0 < median ≤ p95"),
        ("mmpp:low-for=1s,high-for=0s", "low-for and high-for must be more than 0 s"),
        ("mmpp:low-for=1s,high-for=1s,span=400d", "more than 250000 turns"),
        ("spike:width=10,every=5", "every more than width"),
        ("diurnal:peak=3", "'3' is not a number from 1 to 2"),
    ],
)
def test_a_mistake_in_a_generator_says_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        generate(text)


def test_every_family_works_without_any_key() -> None:
    for family in GENERATORS:
        assert assert_lawful(generate(family)) > 0


# --- traces made from traces


BASE = "gamma:rate=5,cv=2,span=1h,services=3,name=s"


def recorded(text: str) -> Trace:
    """The same requests as a trace that nothing is known of but them."""
    trace = generate(text)
    return window(trace, 0.0, trace.span)


@settings(max_examples=12, deadline=None)
@given(
    factor=st.floats(0.05, 4.0),
    burstiness=st.floats(0.0, 3.0),
    begin=st.floats(0.0, 1800.0),
    times=st.integers(1, 3),
)
def test_every_change_keeps_the_laws_of_traces(factor: float, burstiness: float, begin: float, times: int) -> None:
    trace: Trace = generate(BASE)
    for changed in (
        scale_load(trace, factor),
        scale_load(recorded(BASE), factor),
        warp_burstiness(trace, burstiness),
        window(trace, begin, begin + 600.0),
        repeat(trace, times),
        select(trace, ["s-2", "s-0"]),
    ):
        assert_lawful(changed)
        assert (changed.digest == trace.digest) == (changed is trace)
        assert [len(chunk) for chunk in changed.chunks()] == [len(chunk) for chunk in changed.chunks()]


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.0, 3.7])
@pytest.mark.parametrize("made", [True, False])
def test_load_is_multiplied(factor: float, made: bool) -> None:
    trace = generate(BASE) if made else recorded(BASE)
    scaled = scale_load(trace, factor)
    assert assert_lawful(scaled) == pytest.approx(factor * assert_lawful(trace), rel=0.05)


def test_more_load_of_a_generator_keeps_the_variation_of_its_gaps() -> None:
    gaps = np.diff(everything(scale_load(generate("gamma:rate=1,cv=3,span=2h"), 20.0)).arrival)
    assert gaps.std() / gaps.mean() == pytest.approx(3.0, rel=0.05)


def test_twice_the_load_is_not_the_same_load_in_pairs() -> None:
    trace = recorded("poisson:rate=1,span=6h")
    gaps = np.diff(everything(scale_load(trace, 2.0)).arrival)
    assert gaps.min() > 0
    assert gaps.std() / gaps.mean() < 1.3


def test_burstiness_changes_rates_and_keeps_requests_and_time() -> None:
    trace = generate("spike:base=2,height=8,at=20m,width=20m,span=1h")
    warped = warp_burstiness(trace, 2.0)
    before, after = (np.bincount((everything(t).arrival / 60).astype(int), minlength=60) for t in (trace, warped))
    assert after.sum() == before.sum()
    assert warped.span == trace.span
    # Rates 2 and 8 become proportional to 4 and 64, in the same time and with the same number of requests.
    assert after.max() / max(1, np.median(after)) > 2 * before.max() / np.median(before)
    same = everything(warp_burstiness(trace, 1.0)).arrival
    assert same.tolist() == pytest.approx(everything(trace).arrival.tolist(), abs=1e-6)


def test_a_window_begins_at_zero() -> None:
    trace = generate(BASE)
    whole = everything(trace).arrival
    inside = whole[(whole >= 600) & (whole < 900)] - 600
    assert everything(window(trace, 600, 900)).arrival.tolist() == pytest.approx(inside.tolist())


def test_selected_services_are_numbered_anew() -> None:
    trace = generate(BASE)
    counts = np.bincount(everything(trace).service)
    chosen = select(trace, ["s-2", "s-0"])
    assert chosen.services == ("s-2", "s-0")
    assert np.bincount(everything(chosen).service).tolist() == [counts[2], counts[0]]


def test_a_repeated_trace_goes_on_where_it_ended() -> None:
    trace = generate("poisson:rate=1,span=100s")
    once = everything(trace).arrival
    assert everything(repeat(trace, 2)).arrival.tolist() == pytest.approx([*once, *(once + 100.0)])


def test_changes_that_make_no_sense_are_refused() -> None:
    trace = generate(BASE)
    with pytest.raises(TraceError, match=r"nobody is not in .* it has s-0, s-1, s-2"):
        select(trace, ["nobody"])
    with pytest.raises(TraceError, match="is not a stretch"):
        window(trace, 4000, 5000)
    with pytest.raises(TraceError, match="load is more than 0"):
        scale_load(trace, 0.0)
    with pytest.raises(TraceError, match="burstiness is from 0 to 10"):
        warp_burstiness(trace, -1.0)
    with pytest.raises(TraceError, match="can be repeated 1 to 10000 times"):
        repeat(trace, 0)


def test_blocks_have_their_own_numbers() -> None:
    assert stream(1, "x", 5).random() == stream(1, "x", 5).random()
    assert len({stream(seed, use, block).random() for seed in (1, 2) for use in "xy" for block in (0, 1)}) == 8


@pytest.mark.parametrize("size", [1_000, 65_536, 70_000])
def test_what_is_drawn_for_more_load_does_not_depend_on_the_chunks_it_is_read_in(size: int) -> None:
    def scaled(size: int) -> bytes:
        return everything(scale_load(_InChunks(size), 1.5, 3)).arrival.tobytes()

    assert scaled(size) == scaled(_InChunks.rows)


class _InChunks:
    """Requests four times a second, so many in a chunk."""

    rows = 150_000
    name, services, span, digest = "given", ("a",), rows / 4, "given"

    def __init__(self, size: int) -> None:
        self._size = size

    def chunks(self) -> Iterator[Requests]:
        return cut(requests(np.arange(self.rows) / 4), self._size)
