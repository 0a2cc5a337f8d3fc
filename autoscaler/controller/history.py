"""What was decided lately, and what was decided when something changed.

A sleeping service makes the same decision every two seconds; a plain ring of a thousand would forget, within half an
hour, why it fell asleep. So there are two rings: every decision, and those that differ from the one before.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from autoscaler.decide.decision import Decision

KEPT_DECISIONS = 1_000
KEPT_CHANGES = 200


class DecisionHistory:
    """The last decisions of one service."""

    def __init__(self, decisions: int = KEPT_DECISIONS, changes: int = KEPT_CHANGES) -> None:
        self._decisions: deque[Decision] = deque(maxlen=decisions)
        self._changes: deque[Decision] = deque(maxlen=changes)

    def add(self, decision: Decision) -> bool:
        """Keep one more; True when it differs from the one before in result, reason, phase or panic."""
        before = self.latest
        self._decisions.append(decision)
        changed = before is None or _gist(before) != _gist(decision)
        if changed:
            self._changes.append(decision)
        return changed

    @property
    def latest(self) -> Decision | None:
        return self._decisions[-1] if self._decisions else None

    def last(self, count: int) -> tuple[Decision, ...]:
        """The newest `count`, oldest first."""
        return _tail(self._decisions, count)

    def last_changes(self, count: int) -> tuple[Decision, ...]:
        """The newest `count` that changed something, oldest first."""
        return _tail(self._changes, count)


def _gist(decision: Decision) -> tuple[object, ...]:
    return decision.desired, decision.reason, decision.phase, decision.panic


def _tail(ring: deque[Decision], count: int) -> tuple[Decision, ...]:
    return tuple(islice(ring, max(0, len(ring) - max(0, count)), None))
