"""How long requests take in service, for bounds and sizes: no plant is run, so it must be known beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulations.scenario import ContinuousBatching, DrawnSeconds, MeasuredSeconds, ServiceModel
from simulations.traces.trace import Floats, Requests, TraceError


@dataclass(frozen=True, slots=True)
class ServiceSeconds:
    """How long requests take in service: as recorded, else by tokens, else a constant.

    per_input, per_output  seconds per token, for requests whose duration is not recorded; 0: not by tokens
    otherwise              for requests of which nothing is known; NaN: that is an error
    """

    per_input: float = 0.0
    per_output: float = 0.0
    otherwise: float = math.nan

    def of(self, rows: Requests) -> Floats:
        """Durations of these requests. Raises TraceError where there is nothing to know them from."""
        seconds = rows.seconds
        missing = np.isnan(seconds)
        if not bool(missing.any()):
            return seconds
        by_tokens = (
            np.maximum(rows.input_tokens, 0) * self.per_input + np.maximum(rows.output_tokens, 0) * self.per_output
        )
        usable = (by_tokens > 0) & (rows.output_tokens >= 0)
        seconds = np.where(missing, np.where(usable, by_tokens, self.otherwise), seconds)
        if bool(np.isnan(seconds).any()):
            raise TraceError("the duration of requests is not recorded: say how long one takes (--seconds)")
        return seconds


def service_seconds(model: ServiceModel, batch: float = 1.0) -> ServiceSeconds:
    """What this model takes, with so many requests in a batch where that matters; 1: alone, the least it can be."""
    match model:
        case MeasuredSeconds(otherwise):
            return ServiceSeconds(otherwise=otherwise)
        case DrawnSeconds(mean):
            return ServiceSeconds(otherwise=mean)
        case ContinuousBatching(prefill, alpha, beta, _, _, input_tokens, output_tokens):
            token = alpha + beta * batch
            return ServiceSeconds(prefill, token, prefill * input_tokens + token * output_tokens)
