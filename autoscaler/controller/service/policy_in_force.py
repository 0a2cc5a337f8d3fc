"""Which policy counts now, where it came from, and what became of one that cannot be read.

An edit that does not read, of the object or of its profile, must not take a service's scaling away: the last policy
that read stays in force, and the mistake is shown until it is put right. What is in force is recorded with the service,
so that this holds for a controller, too, that came after the edit. A service that never had one is served as it is and
not scaled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.policy.canonical import policy_from_json, policy_to_json
from autoscaler.policy.errors import PolicyErrors
from autoscaler.policy.parse import read_policy_and_settings
from autoscaler.policy.profiles import NO_PROFILES, Profiles
from autoscaler.policy.scaling_policy import ScalingMode, ScalingPolicy
from autoscaler.policy.settings import Settings


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting that was made: the field it sets, the key and text that set it, and where that stands."""

    field: str
    key: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """What counts now.

    policy      None while none has ever been readable
    generation  of the object that it was read from; −1: of none that this controller has seen
    origins     what was set, as far as this controller has seen it; every other field has its default
    mistakes    of the object and its profile as they are now; empty when `policy` was read from them
    """

    policy: ScalingPolicy | None = None
    generation: int = -1
    origins: tuple[Origin, ...] = ()
    mistakes: tuple[str, ...] = ()

    def following(
        self,
        inference_service: Mapping[str, object],
        generation: int,
        profiles: Profiles = NO_PROFILES,
        recorded: str = "",
    ) -> PolicyInForce:
        """What counts once the object, or its profile, reads like this. `recorded` is what was in force before this
        controller came, as `record` has it."""
        try:
            policy, settings = read_policy_and_settings(inference_service, profiles=profiles)
        except PolicyErrors as errors:
            mistakes = tuple(str(error) for error in errors.errors)
        except Exception as error:
            # The object comes from outside, and whatever is in it is this service's own trouble.
            mistakes = (f"the policy cannot be read: {type(error).__name__}: {error}",)
        else:
            return PolicyInForce(policy, generation, _origins(settings), _superseded(profiles, settings.profile))
        kept = _from_record(recorded) if self.policy is None else self.policy
        return PolicyInForce(kept, self.generation, self.origins, mistakes)

    @property
    def record(self) -> str:
        """What a later controller has to know of it: what differs from the defaults. Empty when there is no policy."""
        if self.policy is None:
            return ""
        return json.dumps(
            _differing(policy_to_json(self.policy), policy_to_json(ScalingPolicy())), separators=(",", ":")
        )

    @property
    def mode(self) -> ScalingMode:
        """OFF while there is no policy: what nobody can read, nobody may act on."""
        return ScalingMode.OFF if self.policy is None else self.policy.mode

    @property
    def to_serve_by(self) -> ScalingPolicy:
        """Bounds of the hold, limits and timeouts, which a service needs even while it cannot be scaled."""
        return ScalingPolicy() if self.policy is None else self.policy


def _differing(value: object, default: object) -> object:
    """The fields of `value` that are others than in `default`, of nested objects, too."""
    if not (isinstance(value, Mapping) and isinstance(default, Mapping)):
        return value
    return {name: _differing(inner, default[name]) for name, inner in value.items() if inner != default[name]}


def _from_record(text: str) -> ScalingPolicy | None:
    """None where nothing is recorded, or what no controller of this version has written."""
    try:
        return policy_from_json(json.loads(text)) if text else None
    except (ValueError, RecursionError, PolicyErrors):
        return None


def _superseded(profiles: Profiles, name: str) -> tuple[str, ...]:
    """What is wrong with the profile as it is now, where what it said before is in force."""
    profile = profiles.by_name.get(name)
    return () if profile is None else tuple(str(error) for error in profile.superseded_by)


def _origins(settings: Settings) -> tuple[Origin, ...]:
    return tuple(
        Origin(setting.key.field or setting.name, setting.name, setting.text, str(setting.source))
        for field in sorted(settings.said)
        for setting in settings.said[field]
    )
