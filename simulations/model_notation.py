"""Service models as text: how long a replica works on a request.

    measured                    what the trace says of each
    fixed:0.5s                  always this long
    exponential:0.5s            exponential with this mean; also lognormal:MEAN,cv=1.5 and gamma:MEAN,cv=0.5
    llm:alpha=23ms,beta=0.7ms,slots=32,prefill=0.1ms    continuous batching: see simulations.scenario

`slots=N` after any of them: the engine works on N at a time, further ones wait in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulations.census import Census
from simulations.scenario import ContinuousBatching, DrawnSeconds, MeasuredSeconds, ServiceModel, Shape
from simulations.traces import notation
from simulations.traces.trace import TraceError

_SHAPES = {
    "fixed": Shape.CONSTANT,
    "exponential": Shape.EXPONENTIAL,
    "lognormal": Shape.LOGNORMAL,
    "gamma": Shape.GAMMA,
}
_CV = {Shape.CONSTANT: 0.0, Shape.EXPONENTIAL: 1.0, Shape.LOGNORMAL: 1.0, Shape.GAMMA: 1.0}
KINDS = ("measured", *_SHAPES, "llm")
_LLM_KEYS = ("alpha", "beta", "slots", "prefill", "kv", "input", "output")
# Fitted to a published run of vLLM with an 8 B model on a single GPU under an autoscaler: 23 ms a token, 0.72 ms more
# for each further sequence, about 30 of them.
LLM_DEFAULT = "llm:alpha=23ms,beta=0.72ms,slots=32,prefill=0.1ms"
_MOST_SECONDS = 86_400.0


class ModelError(ValueError):
    """A service model that cannot be: names the key, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A service model, as text that gives it again, and why it was chosen; "" when it was asked for."""

    model: ServiceModel
    text: str
    why: str


def default_model(census: Census) -> ChosenModel:
    """By what the trace holds. Raises ModelError where that is too little."""
    if census.has_seconds:
        return ChosenModel(parse_model("measured", census), "measured", "durations are recorded")
    if census.has_tokens:
        return ChosenModel(parse_model(LLM_DEFAULT, census), LLM_DEFAULT, "lengths of answers are recorded")
    raise ModelError(
        "the trace records neither durations nor tokens: say how long a replica works on a request, for instance"
        " --model exponential:0.5s"
    )


def parse_model(text: str, census: Census) -> ServiceModel:
    """The model that `text` names. Raises ModelError."""
    name, _, rest = text.strip().partition(":")
    if name not in KINDS:
        raise ModelError(f"{name!r:.40} is not a service model; there are {', '.join(KINDS)}")
    mean_text, settings = _split(rest)
    try:
        given = notation.pairs(settings)
    except TraceError as error:
        raise ModelError(f"{name}: {error}") from None
    if name == "llm":
        if mean_text:
            raise ModelError(f"llm: {mean_text!r:.40} is not KEY=VALUE; there are {', '.join(_LLM_KEYS)}")
        return _batching(given, census)
    _only(given, ("slots",) if name in ("measured", "fixed", "exponential") else ("slots", "cv"), name)
    slots = int(_number(name, "slots", given.get("slots", "0"), 0, 100_000, whole=True))
    if name == "measured":
        if not census.timed and not mean_text:
            raise ModelError("measured: the trace records no durations; take fixed:, exponential: or llm:")
        otherwise = _seconds(name, "seconds", mean_text) if mean_text else census.mean_seconds
        return MeasuredSeconds(otherwise, slots)
    if not mean_text:
        raise ModelError(f"{name}: say how long it takes: {name}:0.5s")
    shape = _SHAPES[name]
    cv = _number(name, "cv", given.get("cv", str(_CV[shape])), 0, 100)
    return DrawnSeconds(_seconds(name, "seconds", mean_text), shape, cv, slots)


def _batching(given: dict[str, str], census: Census) -> ContinuousBatching:
    _only(given, _LLM_KEYS, "llm")
    usual = dict(notation.pairs(LLM_DEFAULT.partition(":")[2])) | given
    tokens = {"input": census.mean_input, "output": census.mean_output}
    lengths = {
        key: _number("llm", key, usual[key], 0, 10_000_000, whole=True) if key in usual else round(mean, 0)
        for key, mean in tokens.items()
    }
    return ContinuousBatching(
        prefill=_seconds("llm", "prefill", usual["prefill"], least=0.0),
        alpha=_seconds("llm", "alpha", usual["alpha"]),
        beta=_seconds("llm", "beta", usual["beta"], least=0.0),
        slots=int(_number("llm", "slots", usual["slots"], 1, 100_000, whole=True)),
        kv_tokens=int(_number("llm", "kv", usual.get("kv", "0"), 0, 1e12, whole=True)),
        input_tokens=512 if math.isnan(lengths["input"]) else int(lengths["input"]),
        output_tokens=128 if math.isnan(lengths["output"]) else int(lengths["output"]),
    )


def short_time(what: str, key: str, text: str) -> float:
    """A time more than 0 that may be in milliseconds: 250ms, 0.25, 2s, 1m. Raises ModelError, which names `what`."""
    return _seconds(what, key, text)


def _split(rest: str) -> tuple[str, str]:
    """The value that stands first without a key, and the pairs after it."""
    first, _, others = rest.partition(",")
    return ("", rest) if "=" in first or not first.strip() else (first.strip(), others)


def _only(given: dict[str, str], allowed: tuple[str, ...], name: str) -> None:
    for key in given:
        if key not in allowed:
            raise ModelError(f"{name}: {key!r:.40} is not a key; there are {', '.join(allowed)}")


def _number(name: str, key: str, text: str, least: float, most: float, *, whole: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most or (whole and value != int(value)):
        kind = "whole number" if whole else "number"
        raise ModelError(f"{name}: {key}={text:.40} is not a {kind} from {least:g} to {most:g}")
    return value


def _seconds(name: str, key: str, text: str, *, least: float = 1e-9) -> float:
    """A time, which may be in milliseconds or microseconds too: tokens take few of them."""
    stripped = text.strip()
    for unit, scale in (("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6)):
        if stripped.endswith(unit):
            return _number(name, key, stripped.removesuffix(unit), least / scale, _MOST_SECONDS / scale) * scale
    try:
        value = float(stripped) if _plain(stripped) else notation.seconds(stripped)
    except TraceError as error:
        raise ModelError(f"{name}: {key}: {error}") from None
    if not least <= value <= _MOST_SECONDS:
        raise ModelError(f"{name}: {key}={text:.40} is not a time from {least:g} to {_MOST_SECONDS:g} s")
    return value


def _plain(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
