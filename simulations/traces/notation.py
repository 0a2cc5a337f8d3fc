"""Generators as text: `poisson:rate=20,span=1d`, and several of them together with `+`.

    FAMILY:KEY=VALUE,KEY=VALUE…[+FAMILY:…]

    poisson   rate                               requests per second, no memory
    gamma     rate, cv                           gaps of that variation; above 1 is bursty
    weibull   rate, cv                           the same with heavier tails
    mmpp      low, high, low-for, high-for       two rates that take turns for exponential times
    diurnal   mean, peak, period, top            a sine; peak is the highest rate over the mean, 1 to 2
    spike     base, height, at, width, every     base, and height for a while; every=0: once
    ramp      from, to, begin, end               from one rate evenly to another

    all       span, name, services, zipf, cv, seconds, input, output, seed

Times take s, m, h or d. `seconds`, `input` and `output` are distributions: a number, lognormal(median,p95),
exponential(mean), gamma(mean,cv), uniform(least,most), pareto(least,alpha).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulations.traces import rate_curves
from simulations.traces.distributions import Distribution, parse_distribution
from simulations.traces.generators import GeneratedTrace, mixed, zipf
from simulations.traces.randomness import MOST_SEED
from simulations.traces.rate_curves import RateCurve
from simulations.traces.renewal import LEAST_CV, MOST_CV, Gaps
from simulations.traces.trace import Trace, TraceError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TIME = re.compile(r"(?P<number>\d{1,12}(?:\.\d{1,9})?)(?P<unit>[smhd]?)")
_MOST_RATE = 1e6
_MOST_SPAN = 400 * 86_400.0
_MOST_SERVICES = 10_000
_MOST_REQUESTS = 1e11


@dataclass(frozen=True, slots=True)
class _Key:
    """One key: how its value is read, and the value when it is not given."""

    read: Callable[[str], float]
    default: float


def _number(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise TraceError(f"{text!r:.40} is not a number from {least:g} to {most:g}")
        return value

    return read


def seconds(text: str) -> float:
    """A time like 90, 90s, 5m, 1.5h or 2d. Raises TraceError."""
    match = _TIME.fullmatch(text.strip())
    value = float(match["number"]) * _UNITS[match["unit"]] if match else math.nan
    if not value <= _MOST_SPAN:
        raise TraceError(f"{text!r:.40} is not a time like 90s, 5m, 1.5h or 2d, up to 400d")
    return value


_RATE, _CV = _number(0, _MOST_RATE), _number(LEAST_CV, MOST_CV)
_COMMON: Mapping[str, _Key] = {
    "span": _Key(seconds, 3600.0),
    "services": _Key(_number(1, _MOST_SERVICES), 1),
    "zipf": _Key(_number(0, 10), 1.0),
    "cv": _Key(_CV, 1.0),
    "seed": _Key(_number(0, float(2**53)), -1.0),
}
_DISTRIBUTIONS = ("seconds", "input", "output")

_Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GeneratorFamily:
    """A family: its own keys, and the rate curve that they make, with the seed for curves that are drawn."""

    keys: Mapping[str, _Key]
    curve: Callable[[_Values, int], RateCurve]
    gaps: Gaps = Gaps.GAMMA


def _mmpp(v: _Values, seed: int) -> RateCurve:
    if min(v["low-for"], v["high-for"]) <= 0:
        raise TraceError("low-for and high-for must be more than 0 s")
    return rate_curves.switching(v["low"], v["high"], v["low-for"], v["high-for"], v["span"], seed)


def _diurnal(v: _Values, _: int) -> RateCurve:
    if v["period"] <= 0:
        raise TraceError("period must be more than 0 s")
    return rate_curves.diurnal(v["mean"], v["peak"], v["period"], v["top"], v["span"])


def _spike(v: _Values, _: int) -> RateCurve:
    if v["width"] <= 0 or 0 < v["every"] <= v["width"]:
        raise TraceError("width must be more than 0 s, and every more than width")
    return rate_curves.spike(v["base"], v["height"], v["at"], v["width"], v["every"], v["span"])


def _ramp(v: _Values, _: int) -> RateCurve:
    end = v["end"] if v["end"] > 0 else v["span"]
    if not v["begin"] < end:
        raise TraceError("begin must be before end")
    return rate_curves.ramp(v["from"], v["to"], v["begin"], end, v["span"])


def _steady(v: _Values, _: int) -> RateCurve:
    return rate_curves.constant(v["rate"], v["span"])


GENERATORS: Mapping[str, GeneratorFamily] = {
    "poisson": GeneratorFamily({"rate": _Key(_RATE, 1.0)}, _steady),
    "gamma": GeneratorFamily({"rate": _Key(_RATE, 1.0), "cv": _Key(_CV, 2.0)}, _steady),
    "weibull": GeneratorFamily({"rate": _Key(_RATE, 1.0), "cv": _Key(_CV, 2.0)}, _steady, Gaps.WEIBULL),
    "mmpp": GeneratorFamily(
        {
            "low": _Key(_RATE, 1.0),
            "high": _Key(_RATE, 10.0),
            "low-for": _Key(seconds, 600.0),
            "high-for": _Key(seconds, 60.0),
        },
        _mmpp,
    ),
    "diurnal": GeneratorFamily(
        {
            "mean": _Key(_RATE, 1.0),
            "peak": _Key(_number(1, 2), 1.8),
            "period": _Key(seconds, 86_400.0),
            "top": _Key(seconds, 50_400.0),
        },
        _diurnal,
    ),
    "spike": GeneratorFamily(
        {
            "base": _Key(_RATE, 1.0),
            "height": _Key(_RATE, 10.0),
            "at": _Key(seconds, 600.0),
            "width": _Key(seconds, 60.0),
            "every": _Key(seconds, 0.0),
        },
        _spike,
    ),
    "ramp": GeneratorFamily(
        {
            "from": _Key(_RATE, 1.0),
            "to": _Key(_RATE, 10.0),
            "begin": _Key(seconds, 0.0),
            "end": _Key(seconds, 0.0),
        },
        _ramp,
    ),
}
_FAMILY = re.compile(rf"({'|'.join(GENERATORS)})(?=:|\+|$)")


def is_generator(text: str) -> bool:
    """Whether this is written as a generator and not as a path."""
    return _FAMILY.match(text) is not None


def generate(text: str, seed: int = 1) -> Trace:
    """The trace that `text` describes. Parts without a seed of their own use `seed`. Raises TraceError."""
    if not 0 <= seed <= MOST_SEED:
        raise TraceError(f"a seed is a whole number from 0 to {MOST_SEED}, not {seed}")
    parts = re.split(rf"\+(?=(?:{'|'.join(GENERATORS)})(?::|\+|$))", text.strip())
    if len(parts) > 1000:
        raise TraceError(f"{len(parts)} generators together; 1000 are allowed")
    return mixed(text.strip(), [_part(part, seed, number) for number, part in enumerate(parts)])


def _part(text: str, seed: int, number: int) -> GeneratedTrace:
    family_name, _, rest = text.partition(":")
    family = GENERATORS.get(family_name)
    if family is None:
        raise TraceError(f"{family_name!r:.40} is not a generator; there are {', '.join(GENERATORS)}")
    try:
        return _made(text, family_name, family, pairs(rest), seed, number)
    except TraceError as error:
        raise TraceError(f"{text!r:.200}: {error}") from None


def _made(
    text: str, family_name: str, family: GeneratorFamily, given: dict[str, str], seed: int, number: int
) -> GeneratedTrace:
    keys = {**_COMMON, **family.keys}
    unknown = sorted(set(given) - {*keys, *_DISTRIBUTIONS, "name"})
    if unknown:
        allowed = ", ".join(
            (*family.keys, "name", *_DISTRIBUTIONS, *(key for key in _COMMON if key not in family.keys))
        )
        raise TraceError(f"{unknown[0]!r:.40} is not a key of {family_name}; there are {allowed}")
    values = {name: key.read(given[name]) if name in given else key.default for name, key in keys.items()}
    if values["span"] <= 0:
        raise TraceError("span must be more than 0 s")
    # Each part has its own seed, or two alike would send their requests at the same moments.
    own = int(values["seed"]) if values["seed"] >= 0 else (seed + number * 1_000_003) % MOST_SEED
    curve = family.curve(values, own)
    if float(curve.expected[-1]) > _MOST_REQUESTS:
        raise TraceError(f"{float(curve.expected[-1]):.2g} requests; {_MOST_REQUESTS:g} are allowed")
    count, name = int(values["services"]), given.get("name", family_name)
    lengths: dict[str, Distribution | None] = {
        key: parse_distribution(given[key]) if key in given else None for key in _DISTRIBUTIONS
    }
    return GeneratedTrace(
        name=text,
        services=(name,) if count == 1 else tuple(f"{name}-{at}" for at in range(count)),
        curve=curve,
        cv=values["cv"],
        gaps=family.gaps,
        popularity=zipf(count, values["zipf"]),
        seconds=lengths["seconds"],
        input_tokens=lengths["input"],
        output_tokens=lengths["output"],
        seed=own,
        notation=_canonical(family_name, values, given, lengths),
    )


def _canonical(
    family_name: str, values: _Values, given: Mapping[str, str], lengths: Mapping[str, Distribution | None]
) -> str:
    """The same text for the same trace, whatever was left out and in which order the rest was given."""
    said = [f"{key}={value!r}" for key, value in sorted(values.items()) if key != "seed"]
    said += [f"{key}={value}" for key, value in sorted(lengths.items()) if value is not None]
    return f"{family_name}:{','.join((*said, 'name=' + given.get('name', family_name)))}"


def pairs(text: str) -> dict[str, str]:
    """KEY=VALUE between commas that stand outside of parentheses."""
    found: dict[str, str] = {}
    for piece in re.split(r",(?![^()]*\))", text) if text.strip() else []:
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not equals or not value:
            raise TraceError(f"{piece.strip()!r:.60} is not KEY=VALUE")
        if key in found:
            raise TraceError(f"{key} is given twice")
        found[key] = value
    if not found.get("name", "x").isprintable() or len(found.get("name", "")) > 253:
        raise TraceError("name must be printable and of at most 253 signs")
    return found
