"""Mistakes in an InferenceService: each is named with its place and what is meant or allowed, all of them at once."""

from __future__ import annotations

import math

import pytest

from autoscaler.policy.errors import KeyPath, PolicyErrors, SourceMap
from autoscaler.policy.parse import read_policy
from tests.unit.policy.services import KNATIVE, KSERVE, OURS, error_of, errors_of, service


@pytest.mark.parametrize(
    ("unknown", "known"),
    [
        (OURS + "stable-windw", OURS + "stable-window"),
        (OURS + "min-replica", OURS + "min-replicas"),
        (OURS + "minReplicas", OURS + "min-replicas"),
        (OURS + "Scaling", OURS + "scaling"),
        (KNATIVE + "min-scal", KNATIVE + "min-scale"),
        (KNATIVE + "pannic-window-percentage", KNATIVE + "panic-window-percentage"),
    ],
)
def test_an_unknown_key_is_told_the_nearest_known_one(unknown: str, known: str) -> None:
    error = error_of(service({unknown: "1"}))
    assert error.key == unknown
    assert error.message.endswith(f"did you mean {known}?")


MISSPELT = {"minreplicas": "minReplicas", "max_replicas": "maxReplicas", "maxReplica": "maxReplicas"}


@pytest.mark.parametrize(("written", "meant"), MISSPELT.items())
def test_a_misspelt_field_is_told_which_is_meant(written: str, meant: str) -> None:
    body: dict[str, object] = {"metadata": {"name": "x"}, "spec": {"predictor": {written: 1}}}
    error = error_of(body)
    assert error.key == f"spec.predictor.{written}"
    assert error.message == f"is for a field that does not exist; did you mean {meant}?"


def test_an_unknown_key_that_resembles_nothing_is_just_unknown() -> None:
    assert error_of(service({OURS + "zzzzzzzz": "1"})).message == "is for a key that does not exist"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (KNATIVE + "class", "hpa.autoscaling.knative.dev", "HorizontalPodAutoscaler, which cannot reach zero"),
        (KNATIVE + "class", "custom.example.com", "not one of the words known here"),
        (KNATIVE + "metric", "cpu", "metric of the HorizontalPodAutoscaler"),
        (KNATIVE + "metric", "queue-length", "not one of the words known here"),
        (KSERVE + "autoscalerClass", "hpa", "write external"),
        (KSERVE + "autoscalerClass", "keda", "write external"),
        (KSERVE + "autoscalerClass", "none", "write external"),
        (KSERVE + "deploymentMode", "Serverless", "write Standard"),
        (KSERVE + "deploymentMode", "Knative", "write Standard"),
        (KSERVE + "deploymentMode", "ModelMesh", "write Standard"),
        (KSERVE + "metric", "memory", "metric of the HorizontalPodAutoscaler"),
    ],
)
def test_another_autoscalers_words_are_refused_with_what_to_write(name: str, value: str, says: str) -> None:
    assert says in error_of(service({name: value})).message


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (True, "YAML boolean"),
        (False, "YAML boolean"),
        (3, "YAML number"),
        (0.5, "YAML number"),
        (math.nan, "YAML number"),
        (None, "is nothing"),
        (["3"], "not text"),
        ({"a": "b"}, "not text"),
    ],
)
def test_an_annotation_that_is_not_text_is_told_to_use_quotes(value: object, says: str) -> None:
    error = error_of(service({OURS + "scaling": value}))
    assert says in error.message
    assert "text" in error.message
    assert error.allowed == "text in quotes"


def test_an_unquoted_annotation_of_others_is_a_mistake_too() -> None:
    assert error_of(service({"example.com/replicas": 3})).key == "example.com/replicas"


def test_a_quoted_number_in_the_spec_is_told_to_drop_the_quotes() -> None:
    assert "unquoted" in error_of(service(None, minReplicas="3")).message


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"spec": 3}, "spec"),
        ({"spec": {"predictor": []}}, "spec.predictor"),
        ({"metadata": "chat"}, "metadata"),
        ({"metadata": {"annotations": ["a"]}}, "metadata.annotations"),
        ({"spec": {"predictor": {"annotations": "a"}}}, "spec.predictor.annotations"),
    ],
)
def test_something_else_where_a_mapping_belongs_is_named(body: dict[str, object], key: str) -> None:
    assert {error.key for error in errors_of(body)} == {key}


def test_every_mistake_is_reported_at_once() -> None:
    wrong: dict[str, object] = {
        OURS + "target": "NaN",
        OURS + "stable-window": "60",
        KNATIVE + "class": "x",
        OURS + "y": "1",
    }
    assert {error.key for error in errors_of(service(wrong, minReplicas=-1, maxReplicas="2"))} == {
        *wrong,
        "spec.predictor.minReplicas",
        "spec.predictor.maxReplicas",
    }


def test_an_error_names_file_and_line_key_value_and_what_is_allowed() -> None:
    lines: dict[KeyPath, int] = {(): 1, ("metadata", "annotations", OURS + "stable-window"): 12}
    with pytest.raises(PolicyErrors) as caught:
        read_policy(service({OURS + "stable-window": "60"}), SourceMap("my.yaml", lines))
    assert str(caught.value) == (
        'my.yaml:12: pilotlight.dev/stable-window: "60" has no unit: write 60s if seconds are meant; '
        "allowed: a duration from 1s to 1h, in whole seconds"
    )


def test_errors_come_in_the_order_of_the_file() -> None:
    names = [OURS + "z", OURS + "b", OURS + "m"]
    lines: dict[KeyPath, int] = {("metadata", "annotations", name): line for line, name in enumerate(names, start=5)}
    with pytest.raises(PolicyErrors) as caught:
        read_policy(service(dict.fromkeys(names, "1")), SourceMap("my.yaml", lines))
    assert [error.key for error in caught.value.errors] == names


def test_what_is_shown_of_a_value_is_short_and_harmless() -> None:
    shown = str(error_of(service({OURS + "target": "\x1b[31m" + "9" * 5000 + "\n"})))
    assert len(shown) < 300
    assert shown.isprintable()


def test_what_was_meant_is_guessed_of_some_and_not_of_thousands() -> None:
    errors = errors_of(service({f"{OURS}targe{number}": "1" for number in range(1_000)}))
    assert len(errors) == 1_000
    assert sum("did you mean" in str(error) for error in errors) == 50
