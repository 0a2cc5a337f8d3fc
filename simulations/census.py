"""Census: what a trace holds, from one reading of it. Defaults are chosen by it, and said."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulations.traces.trace import Trace


@dataclass(frozen=True, slots=True)
class Census:
    """Of all services together, and how many requests each has.

    timed, tokened  shares of requests of which the duration or the length of the answer is recorded
    mean_seconds    of recorded durations; NaN without any; mean_input, mean_output: of recorded lengths
    """

    requests: int
    by_service: tuple[int, ...]
    timed: float
    tokened: float
    mean_seconds: float
    mean_input: float
    mean_output: float

    @property
    def has_seconds(self) -> bool:
        """Durations are recorded for most."""
        return self.timed > 0.5

    @property
    def has_tokens(self) -> bool:
        """Lengths of answers are recorded for most."""
        return self.tokened > 0.5


def census(trace: Trace) -> Census:
    """Read the trace once. Raises TraceError."""
    counts = np.zeros(len(trace.services), np.int64)
    timed = tokened = prompted = 0
    seconds = output = prompts = 0.0
    for rows in trace.chunks():
        counts += np.bincount(rows.service, minlength=len(counts))
        known = rows.seconds[~np.isnan(rows.seconds)]
        timed, seconds = timed + len(known), seconds + float(known.sum())
        answered = rows.output_tokens[rows.output_tokens >= 0]
        tokened, output = tokened + len(answered), output + float(answered.sum())
        asked = rows.input_tokens[rows.input_tokens >= 0]
        prompted, prompts = prompted + len(asked), prompts + float(asked.sum())
    requests = int(counts.sum())
    return Census(
        requests=requests,
        by_service=tuple(counts.tolist()),
        timed=timed / requests if requests else 0.0,
        tokened=tokened / requests if requests else 0.0,
        mean_seconds=seconds / timed if timed else math.nan,
        mean_input=prompts / prompted if prompted else math.nan,
        mean_output=output / tokened if tokened else math.nan,
    )
