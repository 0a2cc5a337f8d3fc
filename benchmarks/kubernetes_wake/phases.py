"""The whole wake by phase, and what many of them come to. Pure.

Every instant is one that the measured components do not write themselves: the API server's audit log, the kernel's
start times of processes, the model's and the client's own clock, all of one machine.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

AIM_P50_MS, AIM_P95_MS = 10.0, 30.0


class Phase(Enum):
    """A stretch of a wake, by what it ends with."""

    DECIDED = "request sent → replicas ordered"
    SCHEDULED = "→ pod bound to a node"
    STARTED = "→ model's process started"
    LISTENING = "→ model listens"
    REACHED = "→ first request reaches it"
    ANSWERED = "→ its answer at the client"
    BEFORE = "request sent → model listens"
    PROXY = "model's process started → proxy's"
    ADDRESS = "model's process started → the API server knows its address"
    LEFT = "listening, and the proxy's process started → first request reaches it"
    WHOLE = "request sent → answer"


@dataclass(frozen=True, slots=True)
class Wake:
    """The instants of one wake, in seconds of the machine's clock.

    proxy    when its process was started
    address  when kubelet first told of containers that run, and with them of the pod's address
    """

    sent: float
    decided: float
    scheduled: float
    started: float
    proxy: float
    address: float
    listening: float
    reached: float
    answered: float

    def phases(self) -> Mapping[Phase, float]:
        """Seconds that each took. What happens while a process starts is known to ten milliseconds."""
        return {
            Phase.DECIDED: self.decided - self.sent,
            Phase.SCHEDULED: self.scheduled - self.decided,
            Phase.STARTED: self.started - self.scheduled,
            Phase.LISTENING: self.listening - self.started,
            Phase.REACHED: self.reached - self.listening,
            Phase.ANSWERED: self.answered - self.reached,
            Phase.BEFORE: self.listening - self.sent,
            Phase.PROXY: self.proxy - self.started,
            Phase.ADDRESS: self.address - self.started,
            Phase.LEFT: self.reached - max(self.listening, self.proxy),
            Phase.WHOLE: self.answered - self.sent,
        }


@dataclass(frozen=True, slots=True)
class Burst:
    """Many requests at once from zero.

    seconds       to the last answer
    lost          requests without a good answer
    listening     of each replica that served: when it began to listen, seconds after the requests were sent
    served        likewise, what it answered
    most_at_once  the most requests that one replica had at once
    """

    seconds: float
    lost: int
    listening: tuple[float, ...]
    served: tuple[int, ...]
    most_at_once: int

    @property
    def replicas(self) -> int:
        """How many served."""
        return len(self.served)


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds."""

    p50: float
    p95: float
    most: float


def spread(seconds: Sequence[float]) -> Spread:
    """Median, 95th percentile (nearest rank) and most of what was measured. Raises ValueError on nothing."""
    if not seconds:
        raise ValueError("nothing was measured")
    ordered = sorted(seconds)
    rank = math.ceil(0.95 * len(ordered)) - 1
    return Spread(1e3 * statistics.median(ordered), 1e3 * ordered[rank], 1e3 * ordered[-1])


def spreads(wakes: Sequence[Wake]) -> Mapping[Phase, Spread]:
    """Of each phase over all wakes."""
    measured = [wake.phases() for wake in wakes]
    return {phase: spread([phases[phase] for phases in measured]) for phase in Phase}


@dataclass(frozen=True, slots=True)
class Verdict:
    """An aim, what was measured, and whether it is met."""

    aim: str
    measured: str
    met: bool


def verdicts(
    ours: Sequence[Wake], theirs: Sequence[Wake], our_bursts: Sequence[Burst], their_bursts: Sequence[Burst]
) -> tuple[Verdict, ...]:
    """Of a kind of model, with its bursts where it has any."""
    our, their = spreads(ours), spreads(theirs)
    added, before, other = our[Phase.REACHED], our[Phase.BEFORE].p50, their[Phase.BEFORE].p50
    judged = [
        Verdict(
            f"model listens → first request: p50 ≤ {AIM_P50_MS:g} ms, p95 ≤ {AIM_P95_MS:g} ms",
            f"{added.p50:.1f} ms, {added.p95:.1f} ms (Knative {their[Phase.REACHED].p50:.0f}, "
            f"{their[Phase.REACHED].p95:.0f})",
            added.p50 <= AIM_P50_MS and added.p95 <= AIM_P95_MS,
        ),
        Verdict(
            "request sent → model listens, p50: no longer than Knative's",
            f"{before:.0f} ms (Knative {other:.0f})",
            before <= other,
        ),
    ]
    if our_bursts and their_bursts:
        end = statistics.median(burst.seconds for burst in our_bursts)
        their_end = statistics.median(burst.seconds for burst in their_bursts)
        lost, their_lost = sum(b.lost for b in our_bursts), sum(b.lost for b in their_bursts)
        judged += [
            Verdict(
                "bursts finished no later than Knative's, p50",
                f"{end:.2f} s (Knative {their_end:.2f})",
                end <= their_end,
            ),
            Verdict("nothing lost in bursts", f"{lost} (Knative {their_lost})", lost == 0),
            Verdict(
                "the limit kept: one request at once in each model",
                f"at most {max(burst.most_at_once for burst in our_bursts)}",
                all(burst.most_at_once <= 1 for burst in our_bursts),
            ),
        ]
    return tuple(judged)
