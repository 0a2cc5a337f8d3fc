"""Panic: when the last seconds want twice what there is, only ever more is ordered until that has passed."""

from __future__ import annotations

from autoscaler.decide.state import Panic
from autoscaler.policy.scaling_policy import ScalingPolicy


def follow_panic(policy: ScalingPolicy, panic: Panic, wanted: int, base: int, now: float) -> Panic:
    """Enter, prolong or leave panic.

    Enter and prolong when `wanted`, the panic window's unclamped wish, is at least `panic_threshold` times
    `base`; equality counts. Leave when the stable window, counted from the last such moment, ended strictly
    before now; the maximum is then forgotten.
    """
    if wanted / base >= policy.panic_threshold:
        return Panic(now, panic.most)
    if panic.since is not None and panic.since + policy.stable_window_seconds < now:
        return Panic()
    return panic


def never_below_most(panic: Panic, wanted: int) -> Panic:
    """In panic, remember the most that was wanted: that is what stays ordered."""
    return Panic(panic.since, wanted) if wanted > panic.most else panic
