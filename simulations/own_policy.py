"""Pilotlight's policies in a simulation: from manifests, from a recording, or from nothing but `--set KEY=VALUE`.

What may be set is what the one table of policy keys has, by the names and within the bounds that a manifest has; so a
value that was found here can be written there.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoscaler.policy import keys, keys_pilotlight
from autoscaler.policy.canonical import policy_from_json, policy_to_json
from autoscaler.policy.contradictions import contradictions
from autoscaler.policy.errors import PolicyErrors, Source
from autoscaler.policy.key import PANIC_WINDOW_SECONDS, SEMANTICS, Key
from autoscaler.policy.notation import NotAllowedError
from autoscaler.policy.parse import IMPROVEMENTS, resolve_target
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.policy.setting import Setting
from autoscaler.policy.settings import Settings
from simulations.policies.settings import PolicyError

# What people call a target together with its metric; two keys in one word.
_TARGETS = {"target-concurrency": Metric.CONCURRENCY, "target-rps": Metric.RPS}


def with_settings(policy: ScalingPolicy, given: Sequence[tuple[str, str]], where: str = "--set") -> ScalingPolicy:
    """`policy` with these keys set. Raises PolicyError with every mistake, a line each."""
    said: dict[str, list[Setting]] = {}
    wrong: list[str] = []
    for name, text in _spelled_out(given):
        try:
            setting = _setting(name, text, where)
        except PolicyError as error:
            wrong.append(str(error))
            continue
        if setting.key.field in said:
            wrong.append(f"{where}: {setting.name} and {said[setting.key.field][0].name} set the same thing")
        said.setdefault(setting.key.field, []).append(setting)
    if wrong:
        raise PolicyError("\n".join(wrong))
    changed = _applied(policy, said, where)
    settings = Settings(said, in_knatives_terms=False)
    against = [str(error) for error in contradictions(settings, changed)]
    if not against and 0 < changed.max_replicas < changed.min_replicas:
        against.append(f"{where}: max-replicas {changed.max_replicas} is less than min-replicas {changed.min_replicas}")
    if against:
        raise PolicyError("\n".join(against))
    return changed


def default_policy(limit: int) -> ScalingPolicy:
    """What an InferenceService without a word about scaling gets, with this containerConcurrency."""
    target = resolve_target(Metric.CONCURRENCY, None, limit)
    return replace(ScalingPolicy(), container_concurrency=limit, target=target)


def settable() -> dict[str, Key]:
    """Keys that can be set, by their short names."""
    named = {key.name.removeprefix(keys_pilotlight.DOMAIN): key for key in keys_pilotlight.KEYS if key.field}
    return named | {key.path[-1]: key for key in keys.FIELDS}


def _spelled_out(given: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    plain: list[tuple[str, str]] = []
    for name, text in given:
        metric = _TARGETS.get(name)
        plain += [(name, text)] if metric is None else [("metric", metric.value), ("target", text)]
    return plain


def _setting(name: str, text: str, where: str) -> Setting:
    known = settable()
    key = known.get(name) or keys.annotation(name)
    if key is None or not key.field:
        names = [*known, *_TARGETS]
        close = difflib.get_close_matches(name, names, n=1)
        guess = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(names))}"
        raise PolicyError(f"{where}: {name!r:.60} is not a key of a policy{guess}")
    try:
        return Setting(key, name, text, key.kind.parse(text), Source(where))
    except NotAllowedError as error:
        raise PolicyError(f"{where}: {name}={text:.60}: {error}; allowed: {key.allowed}") from None


def _applied(policy: ScalingPolicy, said: Mapping[str, Sequence[Setting]], where: str) -> ScalingPolicy:
    body = policy_to_json(policy)
    if SEMANTICS in said:
        ours = said[SEMANTICS][0].value != "knative"
        if not ours:
            body["scale_down_delay_seconds"] = 0.0
        for improvement in IMPROVEMENTS:
            _put(body, f"improvements.{improvement}", ours)
    for field, (setting, *_) in said.items():
        if field not in (SEMANTICS, PANIC_WINDOW_SECONDS):
            _put(body, field, setting.value)
    try:
        changed = policy_from_json(body, where)
    except PolicyErrors as error:
        raise PolicyError(str(error)) from None
    if PANIC_WINDOW_SECONDS in said:
        seconds = float(said[PANIC_WINDOW_SECONDS][0].value)
        changed = replace(changed, panic_window_fraction=min(1.0, seconds / changed.stable_window_seconds))
    return replace(changed, target=_target(policy, changed, said))


def _target(before: ScalingPolicy, after: ScalingPolicy, said: Mapping[str, Sequence[Setting]]) -> float:
    """A target that nobody chose follows the limit or the metric; one that was chosen is never more than the limit."""
    if "target" in said:
        return resolve_target(after.metric, float(said["target"][0].value), after.container_concurrency)
    of_default = before.target == resolve_target(before.metric, None, before.container_concurrency)
    wanted = None if of_default or after.metric is not before.metric else before.target
    return resolve_target(after.metric, wanted, after.container_concurrency)


def _put(body: dict[str, object], field: str, value: object) -> None:
    group, _, name = field.rpartition(".")
    inner = body[group] if group else body
    assert isinstance(inner, dict)
    inner[name] = value
