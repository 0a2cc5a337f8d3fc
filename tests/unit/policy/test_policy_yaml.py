"""YAML documents: values as Kubernetes reads them, the line of each key, and what is refused."""

from __future__ import annotations

import math
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policy.errors import KeyPath
from autoscaler.policy.yaml_documents import Document, Flaw, read_documents


def document(text: str) -> Document:
    (only,) = read_documents(text)
    return only


def value(text: str) -> object:
    only = document(text)
    assert only.flaws == ()
    return only.value


def flaws(text: str) -> list[Flaw]:
    return [flaw for each in read_documents(text) for flaw in each.flaws]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("3", 3),
        ("-3", -3),
        ("0x1F", 31),
        ("010", 8),
        ("0b101", 5),
        ("1_000", 1000),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("1.5e-3", 0.0015),
        (".inf", math.inf),
        ("true", True),
        ("on", True),
        ("No", False),
        ("~", None),
        ("", None),
        ("null", None),
        ('"on"', "on"),
        ("'3'", "3"),
        ('"1e3"', "1e3"),
        ("60s", "60s"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("2001-01-01", "2001-01-01"),
        ("!!str 3", "3"),
        ('!!int "3"', 3),
        ("[1, two]", [1, "two"]),
        ("{}", {}),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_a_value_means_what_it_means_to_kubernetes(text: str, meaning: object) -> None:
    read = value(f"key: {text}")
    assert read == {"key": meaning}
    assert type(read["key"]) is type(meaning)


def test_keys_are_texts_whatever_they_look_like() -> None:
    assert value("1: a\ntrue: b\n~: c") == {"1": "a", "true": "b", "~": "c"}


def test_every_key_and_item_knows_its_line() -> None:
    lines = document("a: 1\nb:\n  - x\n  - y: 2\n\n    z: 3\nc: {d: 4}\n").lines
    expected: dict[KeyPath, int] = {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "y"): 4,
        ("b", 1, "z"): 6,
        ("c",): 7,
        ("c", "d"): 7,
    }
    assert lines == expected


def test_each_document_counts_its_lines_from_the_top_of_the_file() -> None:
    first, second = read_documents("a: 1\n---\n# a comment\nb: 2\n")
    assert (first.lines["a",], second.lines["b",], second.line) == (1, 4, 4)


def test_an_alias_stands_for_what_it_names() -> None:
    assert value("a: &x {n: 1}\nb: *x\nc: [*x, *x]") == {"a": {"n": 1}, "b": {"n": 1}, "c": [{"n": 1}, {"n": 1}]}


def test_anchors_end_with_their_document() -> None:
    (flaw,) = flaws("a: &x 1\n---\nb: *x\n")
    assert (flaw.line, flaw.message) == (3, "the alias *x stands for nothing that is complete before it")


def test_a_merge_brings_in_what_is_not_written_out() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 7, c: 8}\nboth:\n  b: 3\n  <<: [*base, *more]\n"
    read = document(text)
    assert read.value == {"base": {"a": 1, "b": 2}, "more": {"b": 7, "c": 8}, "both": {"a": 1, "b": 3, "c": 8}}
    assert (read.lines["both", "b"], read.lines["both", "a"]) == (4, 1)


def test_a_merge_of_something_else_is_a_flaw() -> None:
    assert flaws("a:\n  <<: 3") == [Flaw(2, "<<", "can only bring in mappings")]


def test_a_key_that_stands_twice_is_a_flaw_with_both_lines() -> None:
    assert flaws("a: 1\nb: 2\na: 3\n") == [Flaw(3, "a", "stands here a second time; the first is in line 1")]


def test_a_flaw_in_one_document_does_not_hide_the_next_ones() -> None:
    assert [flaw.line for flaw in flaws("a: 1\na: 2\n---\nb: 1\nb: 2\n")] == [2, 5]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1\nc: 2", 3),
        ("a:\n\t- 1", 2),
        ("a: b: c", 1),
        ("ok: 1\n---\n'unfinished", 3),
        ("a: \x07", 1),
        ("%", 1),
    ],
)
def test_what_is_not_yaml_says_in_which_line(text: str, line: int) -> None:
    flaw = flaws(text)[-1]
    assert flaw.line == line
    assert flaw.message


def test_what_was_read_before_the_text_stopped_being_yaml_is_kept() -> None:
    first, second = read_documents("a: 1\n---\nb: [")
    assert (first.value, second.value, len(second.flaws)) == ({"a": 1}, None, 1)


def test_a_key_that_is_no_text_is_a_flaw() -> None:
    assert flaws("? [a, b]\n: 1") == [Flaw(1, "", "a key must be text")]


# PyYAML leaves 1e3 bare when it means the text; Kubernetes, and we, read a number there.
_TEXT = st.text(max_size=20).filter(lambda text: not re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+", text))
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | _TEXT | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8), _PLAIN))
def test_what_pyyaml_wrote_is_read_back_the_same(body: dict[str, object]) -> None:
    assert value(yaml.safe_dump(body)) == body


@given(st.text())
def test_any_text_is_read_or_has_flaws(text: str) -> None:
    for read in read_documents(text):
        assert read.line >= 1


@given(st.text(alphabet="ab:-[]{}&*!<>|?#'\"\n ,%@`01", max_size=60))
def test_any_text_that_looks_like_yaml_is_read_or_has_flaws(text: str) -> None:
    for read in read_documents(text):
        assert read.line >= 1
