"""Cold-start profiles: what each phase of a replica's start takes, for seven kinds of model.

Each phase is lognormal, given by its median and 95th percentile, the two numbers that people measure and remember. The
built-in ones are for a first look; whoever has measured replaces them by samples (see samples), and sweeps scale them.
The figures are in docs/traces.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from simulations.scenario import StartDraws, StartPhase
from simulations.traces.distributions import lognormal_sigma
from simulations.traces.randomness import stream
from simulations.traces.trace import Floats

_QUANTILES = 2000
_DRAWS = 20_000
MOST_SCALE = 1000.0


class ProfileError(ValueError):
    """A profile cannot be used: says which, what is wrong, and what is allowed."""


@dataclass(frozen=True, slots=True)
class PhaseSeconds:
    """What one phase takes: `samples` in seconds, each as likely as the other. One sample is a constant.

    A lognormal phase is its quantiles at (i + ½)/2000: drawing one of them is drawing from it, without its outermost
    half per mille on either side.
    """

    samples: Floats

    @classmethod
    def lognormal(cls, median: float, p95: float) -> PhaseSeconds:
        """Raises ProfileError unless 0 ≤ median ≤ p95."""
        if not (0.0 <= median <= p95 < math.inf):
            raise ProfileError(f"a phase needs 0 ≤ median ≤ p95 in seconds, not {median:g} and {p95:g}")
        if median == p95 or median == 0.0:
            return cls(np.array([median]))
        normal: Floats = ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
        return cls(median * np.exp(lognormal_sigma(median, p95) * normal))

    def quantile(self, probability: float) -> float:
        """The quantile of the samples."""
        return float(np.quantile(self.samples, probability))

    def scaled(self, factor: float) -> PhaseSeconds:
        """Everything takes `factor` times as long."""
        return PhaseSeconds(self.samples * factor)


NO_TIME = PhaseSeconds(np.array([0.0]))


@dataclass(frozen=True, slots=True)
class ColdStartProfile:
    """What starting one kind of replica takes.

    phases        of a start on a node that is there; IMAGE and WEIGHTS where nothing is on the node yet
    cached        what IMAGE and WEIGHTS take on a node that has started this service before
    gpu           what its figures were measured on, also the price that is used; None: unknown
    """

    name: str
    about: str
    phases: Mapping[StartPhase, PhaseSeconds]
    cached: Mapping[StartPhase, PhaseSeconds]
    gpu: str | None = None

    def phase(self, phase: StartPhase, *, cached: bool) -> PhaseSeconds:
        """What this phase takes; nothing where the profile does not have it."""
        own = self.cached.get(phase) if cached else None
        return own or self.phases.get(phase, NO_TIME)

    def total(self, *, cached: bool = True, node: bool = False) -> PhaseSeconds:
        """The whole start, by drawing its phases independently many times; the same each time.

        `cached`: image and weights are on the node; `node`: a node has to be made first.
        """
        random = stream(0, f"profile {self.name}")
        total = np.zeros(_DRAWS)
        for phase in StartPhase:
            drawn = random.choice(self.phase(phase, cached=cached).samples, _DRAWS)
            if phase is not StartPhase.NODE or node:
                total += drawn
        return PhaseSeconds(total)

    def scaled(self, factor: float) -> ColdStartProfile:
        """Every phase takes `factor` times as long. Raises ProfileError."""
        if not 0.0 < factor <= MOST_SCALE:
            raise ProfileError(f"a start can be scaled by more than 0 up to {MOST_SCALE:g}, not by {factor:g}")
        return replace(
            self,
            name=self.name if factor == 1.0 else f"{self.name}×{factor:g}",
            phases={phase: seconds.scaled(factor) for phase, seconds in self.phases.items()},
            cached={phase: seconds.scaled(factor) for phase, seconds in self.cached.items()},
        )

    def with_phases(self, measured: Mapping[StartPhase, PhaseSeconds]) -> ColdStartProfile:
        """These phases as measured, cached or not, the others as they are."""
        return replace(
            self,
            phases={**self.phases, **measured},
            cached={phase: seconds for phase, seconds in self.cached.items() if phase not in measured},
        )

    def draws(self, failure: float = 0.0) -> StartDraws:
        """For a scenario: the samples of each phase. `failure` is the share of starts that fail."""
        return StartDraws(
            name=self.name,
            schedule=self.phase(StartPhase.SCHEDULE, cached=False).samples,
            node=self.phase(StartPhase.NODE, cached=False).samples,
            image=self.phase(StartPhase.IMAGE, cached=False).samples,
            image_cached=self.phase(StartPhase.IMAGE, cached=True).samples,
            runtime=self.phase(StartPhase.RUNTIME, cached=False).samples,
            weights=self.phase(StartPhase.WEIGHTS, cached=False).samples,
            weights_cached=self.phase(StartPhase.WEIGHTS, cached=True).samples,
            engine=self.phase(StartPhase.ENGINE, cached=False).samples,
            failure=failure,
        )
