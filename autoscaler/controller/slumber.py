"""Slumber: whether a service sleeps and nothing has been heard of it, so that deciding on it again tells nothing new.

Most of thousands of services sleep. Each evaluation of one that does has the same result: with no replica and nobody
there, no signal asks for a replica and no timer runs. So it is evaluated less often, and at the next period when
anything comes: a view, a replica, an activator that tells other numbers than before. Who waits is urgent and is decided
on at once in any case. What the windows are told late is told by the second, as it would have been.
"""

from __future__ import annotations

from autoscaler.decide.decision import Decision, Reason
from autoscaler.signals.observation import Observation, ReplicaCounts
from autoscaler.signals.reading import Known, Reading
from queue_proxy.messages import Stats

_NOBODY = ReplicaCounts(wanted=0, ready=0)


class Slumber:
    """Of one service. Awake until an evaluation has found it asleep."""

    def __init__(self, seconds: float) -> None:
        """`seconds` from one evaluation to the next of a service that sleeps on."""
        self._seconds = seconds
        self._until = 0.0

    def evaluated(self, decision: Decision, observation: Observation, now: float) -> None:
        """It was decided on."""
        sound = (
            decision.reason is Reason.ASLEEP
            and observation.replicas == _NOBODY
            and observation.activator_confirmed
            and decision.activator_in_path
            and _is_none(observation.held)
            and _is_none(observation.in_flight)
            and all(sample.concurrency == 0.0 and sample.rps == 0.0 for sample in observation.samples)
        )
        self._until = now + self._seconds if sound else 0.0

    def disturb(self) -> None:
        """Something has happened."""
        self._until = 0.0

    def hear(self, before: Stats | None, stats: Stats) -> None:
        """An activator told its numbers, and `before` those."""
        if before is None or _counts(before) != _counts(stats):
            self._until = 0.0

    def lasts(self, now: float) -> bool:
        """Nothing need be decided yet."""
        return now < self._until


def _is_none(reading: Reading) -> bool:
    return isinstance(reading, Known) and reading.value == 0.0


def _counts(stats: Stats) -> tuple[object, ...]:
    return (
        stats.epoch, stats.arrived, stats.waiting, stats.running, stats.completed, stats.refused, stats.failed,
        stats.abandoned,
    )  # fmt: skip
