"""Profiles: what they set, what counts more, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.policy.check import check, checked
from autoscaler.policy.errors import PolicyErrors
from autoscaler.policy.parse import read_policy, settings_in_force, spelled_out
from autoscaler.policy.profiles import NO_PROFILES, PROFILE, Profiles, following, read_profiles
from autoscaler.policy.reference import PROFILES
from autoscaler.policy.scaling_policy import ScalingPolicy
from tests.unit.policy.services import KNATIVE, OURS, service


def profiles(**data: object) -> Profiles:
    return read_profiles({"data": data})


def using(profile: str, annotations: Mapping[str, object] | None = None, /, **predictor: object) -> dict[str, object]:
    return service({PROFILE: profile, **(annotations or {})}, **predictor)


def mistakes(inference_service: Mapping[str, object], known: Profiles) -> list[str]:
    with pytest.raises(PolicyErrors) as caught:
        read_policy(inference_service, profiles=known)
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("stable-window: 2m", "stable_window_seconds", 120.0),
        ("pilotlight.dev/stable-window: 2m", "stable_window_seconds", 120.0),
        ("target: 12", "target", 12.0),
        ("scale-to-zero: false", "scale_to_zero", False),
        ("containerConcurrency: 8", "container_concurrency", 8),
        ("spec.predictor.maxReplicas: 3", "max_replicas", 3),
        ("autoscaling.knative.dev/window: 90s", "stable_window_seconds", 90.0),
    ],
)
def test_a_setting_of_the_profile_counts(line: str, field: str, value: object) -> None:
    policy = read_policy(using("p"), profiles=profiles(p=line))
    assert attrgetter(field)(policy) == value


@pytest.mark.parametrize(
    ("line", "own", "field", "value"),
    [
        ("min-replicas: 2", using("p", {OURS + "min-replicas": "1"}), "min_replicas", 1),
        ("min-replicas: 2", using("p", {KNATIVE + "min-scale": "1"}), "min_replicas", 1),
        ("min-replicas: 2", using("p", minReplicas=1), "min_replicas", 1),
        ("containerConcurrency: 8", using("p", containerConcurrency=2), "container_concurrency", 2),
        ("panic-window: 30s", using("p", {KNATIVE + "panic-window-percentage": "20"}), "panic_window_fraction", 0.2),
    ],
)
def test_what_the_object_says_counts_more_in_whatever_words(
    line: str, own: Mapping[str, object], field: str, value: object
) -> None:
    assert attrgetter(field)(read_policy(own, profiles=profiles(p=line))) == value


def test_a_profile_in_knatives_words_does_not_change_the_meaning_of_the_object() -> None:
    assert read_policy(using("p"), profiles=profiles(p=KNATIVE + "window: 90s")).improvements.one_before_zero


def test_nothing_of_another_profile_counts() -> None:
    both = profiles(one="target: 1", two="target: 2")
    assert read_policy(using("two"), profiles=both).target == 2.0
    assert read_policy(service(), profiles=both) == ScalingPolicy()


def test_an_unknown_profile_is_refused_with_those_that_exist() -> None:
    (mistake,) = mistakes(using("interactiv"), profiles(interactive="", batch=""))
    assert mistake == (
        'default/chat: pilotlight.dev/profile: "interactiv" is a profile that does not exist; '
        "there are batch, interactive; did you mean interactive?"
    )


def test_where_there_are_no_profiles_the_config_map_is_named() -> None:
    (mistake,) = mistakes(using("interactive"), NO_PROFILES)
    assert "ConfigMap pilotlight-system/pilotlight-profiles is missing or empty" in mistake


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stable-windw: 2m", "is not a key that a profile can have; did you mean stable-window?"),
        ("stable-window: 60", "has no unit"),
        ("stable-window:", "has no value"),
        ("stable-window: [1m]", "is not one value"),
        ("target: 1\ntarget: 2", "stands in this profile a second time"),
        ("scaling: shadow", "stands on the InferenceService itself"),
        ("profile: other", "stands on the InferenceService itself"),
        ("autoscalerClass: hpa", "is not a key that a profile can have"),
        ("- target", "is not a mapping"),
        ("{a: {b: c", "p:"),
        ("min-replicas: 3\nmax-replicas: 2", "is more than the maximum of 2"),
        (7, "is not text"),
    ],
)
def test_a_mistake_in_a_profile_is_told_to_those_who_use_it_and_nobody_else(text: object, why: str) -> None:
    known = profiles(p=text, q="target: 3")
    assert any(why in mistake for mistake in mistakes(using("p"), known)), mistakes(using("p"), known)
    assert read_policy(using("q"), profiles=known).target == 3.0


def test_a_setting_that_is_of_no_use_to_one_service_is_no_mistake() -> None:
    known = profiles(p="scale-to-zero-retention: 5m\nqueue-requests: 7")
    policy = read_policy(using("p", {OURS + "scale-to-zero": "false"}), profiles=known)
    assert not policy.scale_to_zero


def test_what_object_and_profile_cannot_both_mean_is_refused_with_both_places() -> None:
    (mistake,) = mistakes(using("p", minReplicas=3), profiles(p="max-replicas: 2"))
    assert "spec.predictor.minReplicas" in mistake
    assert "(profile p)" in mistake


def test_where_a_value_comes_from_is_known() -> None:
    settings = settings_in_force(using("p", {OURS + "target": "2"}), profiles(p="stable-window: 2m\ntarget: 9"))
    window, target = settings.setting("stable_window_seconds"), settings.setting("target")
    assert window is not None
    assert (str(window.source), window.of_a_profile) == ("profile p", True)
    assert target is not None
    assert (target.text, target.of_a_profile) == ("2", False)


LINES = ("stable-window: 2m", "min-replicas: 1", "maxReplicas: 5", "containerConcurrency: 4", "queue-requests: 9")
OWN: tuple[dict[str, str], ...] = (
    {},
    {OURS + "target": "2"},
    {OURS + "min-replicas": "2"},
    {OURS + "scale-to-zero": "false"},
)


@settings(deadline=None)
@given(st.sets(st.sampled_from(LINES)), st.sampled_from(OWN))
def test_an_object_with_its_profile_written_out_means_the_same(lines: set[str], own: dict[str, str]) -> None:
    known = profiles(p="\n".join(sorted(lines)))
    written_out = spelled_out(using("p", own), known)
    assert read_policy(written_out) == read_policy(using("p", own), profiles=known)


def test_the_profiles_on_the_page_are_read_from_among_the_files(tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text(PROFILES)
    isvc = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata:\n  name: chat\n"
    isvc += "  annotations:\n    pilotlight.dev/profile: interactive\nspec:\n  predictor: {}\n"
    (tmp_path / "chat.yaml").write_text(isvc)
    files = [tmp_path / "chat.yaml", tmp_path / "profiles.yaml"]
    assert check(files) == ()
    manifests = checked(files)
    policy = read_policy(manifests.services[0].body, manifests.services[0].source, manifests.profiles)
    assert (policy.stable_window_seconds, policy.container_concurrency) == (120.0, 8)


def test_a_mistake_in_a_file_of_profiles_is_said_once_and_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(PROFILES.replace("stable-window: 2m", "stable-window: 2d"))
    (error,) = check([file])
    assert str(error).startswith(f'{file}:8: stable-window: "2d" is not a duration')


def test_another_config_map_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(PROFILES.replace("name: pilotlight-profiles", "name: other"))
    (error,) = check([file])
    assert "pilotlight-profiles" in str(error)


GOOD, BETTER, WRONG = "min-replicas: 2", "min-replicas: 3", "min-replicas: many"


def replicas_by(known: Profiles, profile: str = "p") -> int:
    return read_policy(using(profile), profiles=known).min_replicas


@pytest.mark.parametrize(
    ("now", "replicas", "said"),
    [
        (profiles(p=BETTER), 3, ""),
        (profiles(p=WRONG), 2, "many"),
        (profiles(p=BETTER, q=WRONG), 3, ""),
        (profiles(q=GOOD), 2, "not there any more"),
        (NO_PROFILES, 2, "not there any more"),
        (read_profiles({"data": ["p"]}), 2, "is not a mapping"),
        (profiles(**{f"p{index}": GOOD for index in range(1001)}), 2, "more than 1000"),
        (profiles(p="#" * 2**18), 2, "more than 128 KiB"),
    ],
)
def test_a_profile_that_cannot_be_read_any_more_stays_as_it_was(now: Profiles, replicas: int, said: str) -> None:
    in_force = following(now, profiles(p=GOOD), named=["p"])
    assert replicas_by(in_force) == replicas
    why = [str(error) for error in in_force.by_name["p"].superseded_by]
    assert len(why) == bool(said)
    assert all(said in line for line in why)


def test_what_was_in_force_stays_through_one_mistake_after_another_and_goes_when_it_is_put_right() -> None:
    in_force = profiles(p=GOOD)
    for wrong in (profiles(p=WRONG), NO_PROFILES, profiles(p="- a list")):
        in_force = following(wrong, in_force, named=["p"])
        assert replicas_by(in_force) == 2
    in_force = following(profiles(p=BETTER), in_force, named=["p"])
    assert (replicas_by(in_force), in_force.by_name["p"].superseded_by) == (3, ())


def test_a_profile_that_never_could_be_read_is_a_mistake_of_who_names_it() -> None:
    in_force = following(profiles(p=WRONG), NO_PROFILES, named=["p"])
    assert "many" in mistakes(using("p"), in_force)[0]
    assert following(profiles(p="min-replicas: x"), in_force, named=["p"]).by_name["p"].errors


def test_a_profile_that_nobody_names_goes_when_it_is_taken_away() -> None:
    assert following(NO_PROFILES, profiles(p=GOOD, q=GOOD), named=["q"]).by_name.keys() == {"q"}


def test_who_names_a_profile_of_a_config_map_that_cannot_be_read_is_told_that() -> None:
    [mistake] = mistakes(using("p"), read_profiles({"data": "text"}))
    assert "data" in mistake
    assert "is not a mapping" in mistake
