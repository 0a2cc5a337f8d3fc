"""Contradictions: settings that are allowed one by one and cannot both be meant.

Nothing is resolved silently. Where one key says 3 and another says 5, or a value can have no effect beside another,
the user is told both places and decides.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.policy.errors import PolicyError
from autoscaler.policy.key import PANIC_WINDOW_SECONDS
from autoscaler.policy.notation import write_seconds
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.policy.setting import Setting
from autoscaler.policy.settings import Settings


def contradictions(settings: Settings, policy: ScalingPolicy) -> Iterator[PolicyError]:
    """Everything in `settings` that cannot be meant together. `policy` is what would come of them."""
    yield from _said_twice(settings)
    yield from _panic_window(settings, policy)
    yield from _replicas(settings, policy)
    yield from _timeouts(settings, policy)
    for setting, other, message in without_effect(settings, policy):
        yield _against(setting, other, message)


def _said_twice(settings: Settings) -> Iterator[PolicyError]:
    for field, said in settings.said.items():
        for other in said[1:]:
            if field and other.value != said[0].value:
                yield _against(said[0], other, "sets the same thing to another value than")


def _panic_window(settings: Settings, policy: ScalingPolicy) -> Iterator[PolicyError]:
    ours, knatives = settings.setting(PANIC_WINDOW_SECONDS), settings.setting("panic_window_fraction")
    if ours is None:
        return
    if isinstance(ours.value, float) and ours.value > policy.stable_window_seconds:
        stable = settings.setting("stable_window_seconds")
        yield _against(
            ours, stable, f"is longer than the stable window of {write_seconds(policy.stable_window_seconds)}"
        )
    if knatives is not None and isinstance(knatives.value, float):
        # Knative rounds half away from zero; both are whole seconds and at least one.
        seconds = max(1, int(knatives.value * policy.stable_window_seconds + 0.5))
        if seconds != ours.value:
            yield _against(ours, knatives, f"sets the same thing to another value than the {seconds}s of")


def _replicas(settings: Settings, policy: ScalingPolicy) -> Iterator[PolicyError]:
    least, most = settings.setting("min_replicas"), settings.setting("max_replicas")
    if policy.max_replicas and least and policy.min_replicas > policy.max_replicas:
        yield _against(least, most, f"is more than the maximum of {policy.max_replicas}")
    activation = settings.setting("activation_scale")
    if activation and policy.activation_scale > 1:
        if policy.activation_scale < policy.min_replicas:
            yield _against(activation, least, f"is less than the minimum of {policy.min_replicas}")
        if policy.max_replicas and policy.activation_scale > policy.max_replicas:
            yield _against(activation, most, f"is more than the maximum of {policy.max_replicas}")
    initial = settings.setting("initial_scale")
    if initial and policy.max_replicas and policy.initial_scale > policy.max_replicas:
        yield _against(initial, most, f"is more than the maximum of {policy.max_replicas}")
    to_zero = settings.setting("scale_to_zero")
    if to_zero and policy.scale_to_zero and policy.min_replicas > 0:
        yield _against(to_zero, least, f"cannot be: the minimum is {policy.min_replicas}")


def _timeouts(settings: Settings, policy: ScalingPolicy) -> Iterator[PolicyError]:
    total = policy.timeouts.total
    for field, seconds in (
        ("timeouts.response_start", policy.timeouts.response_start),
        ("timeouts.idle", policy.timeouts.idle),
    ):
        setting = settings.setting(field)
        if setting and total and seconds > total:
            longer = f"is longer than the whole request may take, {write_seconds(total)}"
            yield _against(setting, settings.setting("timeouts.total"), longer)


def without_effect(settings: Settings, policy: ScalingPolicy) -> Iterator[tuple[Setting, Setting | None, str]]:
    """Settings that change nothing: each with the one that keeps it from having an effect, and what to say of it."""
    for field in ("queue.requests", "queue.seconds"):
        queue = settings.setting(field)
        if queue and not policy.container_concurrency:
            limit = settings.setting("container_concurrency")
            nothing = "has no effect without a limit: set spec.predictor.containerConcurrency to at least 1"
            yield queue, limit, nothing
    drain = settings.setting("backlog_drain_seconds")
    if drain and not policy.improvements.backlog_sizing:
        switch = settings.setting("improvements.backlog_sizing")
        nothing = 'has no effect while pilotlight.dev/backlog-sizing is off: set that to "true"'
        yield drain, switch, nothing
    grace = settings.setting("scale_to_zero_grace_seconds")
    off = settings.setting("scale_to_zero")
    for setting in (grace, settings.setting("scale_to_zero_retention_seconds")):
        if setting and off and not policy.scale_to_zero:
            yield setting, off, "has no effect while scale-to-zero is off, as in"


def _against(setting: Setting, other: Setting | None, message: str) -> PolicyError:
    named = "" if other is None else f" {other}" if message[-1].isalpha() else f", {other}"
    return PolicyError(setting.name, setting.text, setting.source, "", message + named)
