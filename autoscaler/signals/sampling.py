"""Sampling: how many replicas must be asked to know what all of them do, and what to make of fewer answers.

Asking every replica every second costs more than it tells once there are many. The size of the sample follows
Knative's rule (95 % confidence, margin 5, variance 100). What differs, by name, is what happens when some of
those asked do not answer: see PartialScrape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

_ALWAYS_ALL = 3
_CONFIDENCE_TERM = 15.3664  # z² · variance / margin² with z = 1.96, variance 100, margin 5
_POPULATION_TERM = 14.3664


class PartialScrape(Enum):
    """What becomes of a scrape in which fewer replicas answered than were asked.

    DISCARDED is Knative's: the second is thrown away. WEIGHTED is ours: each answer stands for more replicas,
    because a service under load loses answers exactly when its load matters most.
    """

    DISCARDED = "discarded"
    WEIGHTED = "weighted"


def sample_size(population: int) -> int:
    """How many of `population` replicas to ask: all up to 3, then 5 → 4, 10 → 7, 100 → 14, 1000 → 16."""
    if population <= _ALWAYS_ALL:
        return max(0, population)
    return math.ceil(_CONFIDENCE_TERM * population / (population + _POPULATION_TERM))


def extrapolate(answers: Sequence[float], population: int, partial: PartialScrape) -> float | None:
    """The sum over all replicas, estimated as the mean of the answers times their number.

    None when it cannot be said: nobody answered, or too few did and partial scrapes are discarded. Without
    replicas the sum is 0.
    """
    if population == 0:
        return 0.0
    enough = len(answers) >= sample_size(population)
    if not answers or (partial is PartialScrape.DISCARDED and not enough):
        return None
    return math.fsum(answers) / len(answers) * population
