"""Scale-down delay: a smaller number must have been wanted for a while before it is taken."""

from __future__ import annotations

import math

_SLOT_SECONDS = 2.0


def delayed(
    slots: tuple[tuple[int, int], ...], wanted: int, delay_seconds: float, now: float
) -> tuple[tuple[tuple[int, int], ...], int]:
    """The largest number wanted in the last ceil(delay / 2 s) slots of two seconds, this one included.

    So a delay of 5 s acts as one of 6 s. Slots are kept newest last, without those that a newer one is at least as
    large as; the largest is therefore the first. A delay of 0 remembers nothing. A changed delay holds from the
    next decision on (Knative: once the decider is made anew).
    """
    if delay_seconds <= 0.0:
        return (), wanted
    slot = math.floor(now / _SLOT_SECONDS)
    oldest = slot - math.ceil(delay_seconds / _SLOT_SECONDS) + 1
    kept = tuple(entry for entry in slots if entry[0] >= oldest and entry[1] > wanted)
    if not kept or kept[-1][0] != slot:  # else a larger one of this very slot outweighs this one
        kept = (*kept, (slot, wanted))
    return kept, kept[0][1]
