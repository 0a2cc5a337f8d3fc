"""Demand: the rows of a trace with all that is drawn for them.

What is drawn for a request is a function of the seed and its place in the trace alone, so that every policy is given
the same work: differences between policies are then their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from simulations.scenario import ContinuousBatching, DrawnSeconds, MeasuredSeconds, Scenario, ScenarioError, Shape

_SHAPES = tuple(Shape)
_DRAWN = frozenset(range(len(_SHAPES)))
_MEASURED = -1
_TOKENS = -2


class Rows(Protocol):
    """What is used of a trace's chunk: see simulations.traces.trace.Requests."""

    @property
    def arrival(self) -> NDArray[np.float64]: ...
    @property
    def service(self) -> NDArray[np.int32]: ...
    @property
    def input_tokens(self) -> NDArray[np.int32]: ...
    @property
    def output_tokens(self) -> NDArray[np.int32]: ...
    @property
    def seconds(self) -> NDArray[np.float64]: ...


class Work:
    """Draws, chunk after chunk, what requests ask of a model."""

    def __init__(self, scenario: Scenario) -> None:
        """Begin at the first request."""
        self._random = np.random.Generator(np.random.Philox(key=scenario.seed))
        count = len(scenario.services)
        self._kind = np.full(count, _MEASURED)
        self._mean = np.ones(count)
        self._cv = np.zeros(count)
        self._input = np.zeros(count, np.int64)
        self._output = np.zeros(count, np.int64)
        for s, service in enumerate(scenario.services):
            match service.model:
                case MeasuredSeconds(otherwise):
                    self._mean[s] = otherwise
                case DrawnSeconds(mean, shape, cv):
                    self._kind[s], self._mean[s], self._cv[s] = _SHAPES.index(shape), mean, cv
                case ContinuousBatching(input_tokens=input_tokens, output_tokens=output_tokens):
                    self._kind[s], self._input[s], self._output[s] = _TOKENS, input_tokens, max(1, output_tokens)
        self._kinds = set(self._kind.tolist())

    def of(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Seconds, input tokens and output tokens of the next rows."""
        service = rows.service
        if len(service) and (service.min() < 0 or service.max() >= len(self._kind)):
            raise ScenarioError(f"the trace has a request for service {service.max()}; there are {len(self._kind)}")
        uniform = self._random.random(len(service))  # one for each, used or not: so that all keep theirs
        of: NDArray[np.int32] | slice = service if len(self._kind) > 1 else slice(None)  # of one, all are of it
        if self._kinds <= _DRAWN and len(self._kinds) == 1:
            seconds = quantile(_SHAPES[self._kind[0]], uniform, self._mean[of], self._cv[of])
        else:
            seconds = self._some_drawn(rows, uniform)
        return (
            np.maximum(seconds, 0.0),
            _tokens(rows.input_tokens, self._input[of]),
            _tokens(rows.output_tokens, self._output[of]),
        )

    def _some_drawn(self, rows: Rows, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        service = rows.service
        seconds = np.where(np.isfinite(rows.seconds), rows.seconds, self._mean[service])
        for number in self._kinds & _DRAWN:
            drawn = self._kind[service] == number
            of = service[drawn]
            seconds[drawn] = quantile(_SHAPES[number], uniform[drawn], self._mean[of], self._cv[of])
        return seconds


def _tokens(recorded: NDArray[np.int32], otherwise: NDArray[np.int64]) -> NDArray[np.int64]:
    """What was recorded, and elsewhere what is usual for the service."""
    if len(recorded) and recorded.max() < 0:
        return np.broadcast_to(otherwise, recorded.shape)
    return np.where(recorded >= 0, recorded, otherwise).astype(np.int64)


def quantile(
    shape: Shape, share: NDArray[np.float64], mean: NDArray[np.float64], cv: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The value that this share of a distribution does not exceed; 0 ≤ share < 1."""
    match shape:
        case Shape.CONSTANT:
            return np.broadcast_to(mean, share.shape).copy()
        case Shape.EXPONENTIAL:
            return np.asarray(-mean * np.log1p(-share))
        case Shape.LOGNORMAL:
            variance = np.log1p(cv * cv)
            inner = np.clip(share, 2.0**-53, 1.0 - 2.0**-53)
            return np.asarray(mean * np.exp(np.sqrt(variance) * special.ndtri(inner) - variance / 2.0))
        case Shape.GAMMA:
            form = 1.0 / np.maximum(cv * cv, 1e-12)
            return np.asarray(mean / form * special.gammaincinv(form, share))


class Feed:
    """The rows of a trace, a part at a time, with their work."""

    def __init__(self, scenario: Scenario, chunks: Iterator[Rows]) -> None:
        """Nothing is read yet."""
        self._chunks = chunks
        self._work = Work(scenario)

    def next(
        self,
    ) -> (
        tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]] | None
    ):
        """Arrivals, services, seconds, input and output tokens of the next rows; None when there are no more."""
        for chunk in self._chunks:
            if len(chunk.arrival):
                return (chunk.arrival, chunk.service, *self._work.of(chunk))
        return None
