"""What was decided lately, and what was decided when something changed, in little memory.

A sleeping service makes the same decision every two seconds; a plain ring of a thousand would forget, within half an
hour, why it fell asleep. So there are two rings: every decision of the last minute, and those of the last days that
differ from the one before. Of a thousand services both must fit beside everything else: a decision is about a kilobyte
of objects, and a fifth of that as compressed JSON, in which changes are kept. They are few, so that writing them costs
nothing, and are read only when somebody asks.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from itertools import islice
from typing import TypeVar

from autoscaler.decide.decision import Decision, LimitName, Phase, Reason, Signal
from autoscaler.decide.decision_json import decision_from_json, decision_to_json
from autoscaler.decide.records import canonical_json

Kept = TypeVar("Kept")

KEPT_CHANGES = 200

# What nearly every decision's JSON contains, so that none has to say it; the most frequent stands last.
_WORDS = (
    "".join(f'"{member.value}"' for kind in (LimitName, Signal, Reason, Phase) for member in kind)
    + '"limits":[{"after":1,"before":0,"name":"}],"explanation":"Stays at 1: requests wait, one replica can drain'
    + " requests at a time over the last 60 s, a replica is given 7, which takes no request in the last 60 s."
    + '{"activator_in_path":true,"at":17,"candidates":[{"reading":{"missing":"nothing was measured in the last 60 s"},'
    + '"replicas":null,"signal":"concurrency-stable","target":70.0},{"reading":{"age":0.0,"known":0.0},"replicas":0,'
    + '"signal":"concurrency-panic","target":7.0}],"desired":1,"excess_burst_capacity":-211,"explanation":"",'
    + '"limits":[],"panic":false,"phase":"serving","reason":"steady","replicas":{"draining":0,"failed":0,"pending":0,'
    + '"ready":1,"starting":0,"wanted":1},"service":"default/","winner":"concurrency-stable"}'
).encode()


class DecisionHistory:
    """The last decisions of one service."""

    def __init__(self, decisions: int) -> None:
        self._decisions: deque[Decision] = deque(maxlen=decisions)
        self._changes: deque[bytes] = deque(maxlen=KEPT_CHANGES)

    def add(self, decision: Decision) -> bool:
        """Keep one more; True when it differs from the one before in result, reason, phase or panic."""
        before = self.latest
        str(decision.said)  # until it is said, it keeps alive everything that it is made from
        self._decisions.append(decision)
        changed = before is None or _differ(before, decision)
        if changed:
            self._changes.append(_packed(decision))
        return changed

    @property
    def latest(self) -> Decision | None:
        return self._decisions[-1] if self._decisions else None

    def last(self, count: int) -> tuple[Decision, ...]:
        """The newest `count`, oldest first."""
        return _tail(self._decisions, count)

    def last_changes(self, count: int) -> tuple[Decision, ...]:
        """The newest `count` that changed something, oldest first."""
        return tuple(map(_unpacked, _tail(self._changes, count)))


def _differ(one: Decision, other: Decision) -> bool:
    return (
        one.desired != other.desired
        or one.reason is not other.reason
        or one.phase is not other.phase
        or one.panic is not other.panic
    )


def _tail(ring: deque[Kept], count: int) -> tuple[Kept, ...]:
    return tuple(islice(ring, max(0, len(ring) - max(0, count)), None))


def _packed(decision: Decision) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=_WORDS)
    return packer.compress(canonical_json(decision_to_json(decision)).encode()) + packer.flush()


def _unpacked(packed: bytes) -> Decision:
    unpacker = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=_WORDS)
    return decision_from_json(json.loads(unpacker.decompress(packed)))
