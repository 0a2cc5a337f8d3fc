"""Reading: a value that knows whether it may be believed. Unknown is not zero.

The most repeated fault of autoscalers is to read a lost metric as 0 (and drop a live service) or as "hold"
(and never scale again). So a reading is one of three things, and whoever uses it must say what it does for each.
"""

from __future__ import annotations

from autoscaler.signals.value_type import value_type


@value_type(frozen=True)
class Known:
    """A value and its age in seconds."""

    value: float
    age: float = 0.0


@value_type(frozen=True)
class Stale:
    """The last value that was known, too old to act on; kept so that it can be shown."""

    value: float
    age: float


@value_type(frozen=True)
class Missing:
    """Never seen, or not seen by everyone who should report it; `why` is for the reader of a decision."""

    why: str


Reading = Known | Stale | Missing
