"""Read an InferenceService's scaling policy: everything a user may have written becomes one ScalingPolicy.

Order of precedence: `pilotlight.dev/*`, `autoscaling.knative.dev/*`, `serving.kserve.io/*`, then the fields of the
spec. As the same quantity may not be given two different values, precedence decides only which place is named as the
source, never silently which value counts. A profile counts where the object says nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from autoscaler.policy.canonical import policy_from_json, policy_to_json
from autoscaler.policy.contradictions import contradictions, without_effect
from autoscaler.policy.errors import PolicyError, PolicyErrors, SourceMap
from autoscaler.policy.key import PANIC_WINDOW_SECONDS, SEMANTICS, Vocabulary
from autoscaler.policy.profiles import NO_PROFILES, PROFILE, Profiles
from autoscaler.policy.scaling_policy import Improvements, Metric, ScalingPolicy
from autoscaler.policy.settings import Settings, gather, name_of
from autoscaler.policy.values import Value

# Knative's cluster defaults of the target, config-autoscaler's container-concurrency-target-default and
# requests-per-second-target-default.
DEFAULT_TARGET = {Metric.CONCURRENCY: 100.0, Metric.RPS: 200.0}

IMPROVEMENTS = tuple(field.name for field in fields(Improvements))


def read_policy(
    inference_service: Mapping[str, object], source: SourceMap | None = None, profiles: Profiles = NO_PROFILES
) -> ScalingPolicy:
    """The policy that `inference_service` asks for; `profiles` are those that it may name.

    Raises PolicyErrors with every mistake at once: values that cannot be, unknown keys, contradictions. `source` tells
    the lines of the file the object came from; without it errors name the object.
    """
    return read_policy_and_settings(inference_service, source, profiles)[0]


def read_policy_and_settings(
    inference_service: Mapping[str, object], source: SourceMap | None = None, profiles: Profiles = NO_PROFILES
) -> tuple[ScalingPolicy, Settings]:
    """What `read_policy` gives, and what was said to ask for it."""
    settings, policy, errors = _read(inference_service, source, profiles)
    errors.extend(contradictions(settings, policy))
    if errors:
        raise PolicyErrors(sorted(errors, key=_place))
    return policy, settings


def settings_in_force(inference_service: Mapping[str, object], profiles: Profiles = NO_PROFILES) -> Settings:
    """What is said about `inference_service`, by itself or by its profile, as far as it can be read."""
    return _read(inference_service, None, profiles)[0]


def spelled_out(inference_service: Mapping[str, object], profiles: Profiles) -> Mapping[str, object]:
    """The same object with what its profile says written on it, for a place that has no profiles."""
    settings = settings_in_force(inference_service, profiles)
    if not settings.profile:
        return inference_service
    metadata, spec = _mapping(inference_service, "metadata"), _mapping(inference_service, "spec")
    predictor = _mapping(spec, "predictor")
    annotations = _mapping(metadata, "annotations")
    own = _mapping(predictor, "annotations")
    for setting in (s for said in settings.said.values() for s in said if s.of_a_profile):
        if setting.key.vocabulary is Vocabulary.SPEC:
            value = setting.value
            predictor[setting.key.path[-1]] = int(value) if isinstance(value, float) else value
        else:
            annotations[setting.name] = setting.text
    for written in (annotations, own):
        written.pop(PROFILE, None)
    if own:
        predictor["annotations"] = own
    return {
        **inference_service,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**spec, "predictor": predictor},
    }


def _mapping(body: Mapping[str, object], name: str) -> dict[str, object]:
    """A copy of the mapping under `name`, empty when there is none."""
    inner = body.get(name)
    return dict(inner) if isinstance(inner, Mapping) else {}


def _read(
    inference_service: Mapping[str, object], source: SourceMap | None, profiles: Profiles
) -> tuple[Settings, ScalingPolicy, list[PolicyError]]:
    settings, errors = gather(inference_service, source, profiles)
    policy = _build(settings, name_of(inference_service))
    # A profile is written for many: that one of its settings is of no use to a service is no mistake of anybody's.
    useless = [setting for setting, _, _ in without_effect(settings, policy) if setting.of_a_profile]
    if useless:
        settings = settings.without(useless)
        policy = _build(settings, name_of(inference_service))
    return settings, policy, errors


def resolve_target(metric: Metric, wanted: float | None, container_concurrency: int) -> float:
    """What one replica is given a target of, before utilization (Knative's rule for the capacity C).

    Concurrency: `wanted`, else the hard limit, else 100, and never more than a hard limit. Requests per second:
    `wanted`, else 200; the hard limit does not count.
    """
    if metric is Metric.RPS:
        return DEFAULT_TARGET[metric] if wanted is None else wanted
    if container_concurrency == 0:
        return DEFAULT_TARGET[metric] if wanted is None else wanted
    return float(container_concurrency) if wanted is None else min(wanted, float(container_concurrency))


def _build(settings: Settings, name: str) -> ScalingPolicy:
    """The policy of settings that are valid one by one; what was not said has its default."""
    body = policy_to_json(ScalingPolicy())
    knative = settings.value(SEMANTICS) == "knative" if settings.setting(SEMANTICS) else settings.in_knatives_terms
    if knative:
        body["initial_scale"] = 1
        body["scale_down_delay_seconds"] = 0.0
        body["queue"] = {"requests": 0, "seconds": 0.0}
        for improvement in IMPROVEMENTS:
            _set(body, f"improvements.{improvement}", False)
    for field, said in settings.said.items():
        if field not in ("", SEMANTICS, PANIC_WINDOW_SECONDS):
            _set(body, field, said[0].value)
    body["asleep_at_first"] = settings.value("initial_scale") == 0
    policy = policy_from_json(body, name)
    wanted = settings.value("target")
    body["target"] = resolve_target(
        policy.metric, None if wanted is None else float(wanted), policy.container_concurrency
    )
    panic = settings.value(PANIC_WINDOW_SECONDS)
    if panic is not None:
        body["panic_window_fraction"] = min(1.0, float(panic) / policy.stable_window_seconds)
    return policy_from_json(body, name)


def _set(body: dict[str, object], field: str, value: Value) -> None:
    """Put `value` at the dotted `field`."""
    group, _, name = field.rpartition(".")
    inner = body[group] if group else body
    assert isinstance(inner, dict)
    inner[name] = value


def _place(error: PolicyError) -> tuple[int, str]:
    """Errors come in the order of the file."""
    return (error.source.line or 0, error.key)
