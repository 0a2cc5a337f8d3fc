"""Edits of YAML texts: what is not touched stays as it is, in every style that people write."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.edits import Edit, Operation, Path, edited
from admission.files import change_file, read_file_content
from admission.inject import inject, remove
from admission.yaml_text import YamlEditError, edit_text
from tests.unit.admission.isvcs import IMAGE, isvc

ADD, REPLACE, REMOVE = Operation.ADD, Operation.REPLACE, Operation.REMOVE


@pytest.mark.parametrize(
    ("text", "edit", "after"),
    [
        ("a: 1\n", Edit(ADD, ("b",), 2), "a: 1\nb: 2\n"),
        ("a: 1", Edit(ADD, ("b",), 2), "a: 1\nb: 2"),
        ("a: 1\r\n", Edit(ADD, ("b",), {"c": [1]}), "a: 1\r\nb:\r\n  c:\r\n    - 1\r\n"),
        ("a: 1 # eol\n\n# below\n", Edit(ADD, ("b",), "on"), 'a: 1 # eol\nb: "on"\n\n# below\n'),
        ("{a: 1}\n", Edit(ADD, ("b",), "x"), '{a: 1, "b": "x"}\n'),
        ("a: {}\n", Edit(ADD, ("a", "b"), 1), 'a: {"b": 1}\n'),
        ("a: |\n  text\n\n  more\n\n# c\nb: 1\n", Edit(ADD, ("c",), 1), "a: |\n  text\n\n  more\n\n# c\nb: 1\nc: 1\n"),
        ("x:\n  a: |\n    text\n\n# c\n", Edit(ADD, ("x", "b"), 1), "x:\n  a: |\n    text\n  b: 1\n\n# c\n"),
        ("l:\n- 1\n# c\n", Edit(ADD, ("l", 1), {"a": [2]}), "l:\n- 1\n- a:\n  - 2\n# c\n"),
        ("l:\n  - 1\n", Edit(ADD, ("l", 1), {"a": [2]}), "l:\n  - 1\n  - a:\n      - 2\n"),
        ("l: [1]\n", Edit(ADD, ("l", 1), 2), "l: [1, 2]\n"),
        ("l: []\n", Edit(ADD, ("l", 0), 2), "l: [2]\n"),
        ("a:\nb: 1\n", Edit(REPLACE, ("a",), {"c": 1}), "a:\n  c: 1\nb: 1\n"),
        ("a: null # why\n", Edit(REPLACE, ("a",), {"c": 1}), "a:\n  c: 1 # why\n"),
        ("a: 'x' # eol\n", Edit(REPLACE, ("a",), "y"), "a: 'y' # eol\n"),
        ("a:\n  b: 1\n# c\n", Edit(REPLACE, ("a",), None), "a:\n# c\n"),
        ("a: 1\nb: 2 # eol\n# c\n", Edit(REMOVE, ("b",)), "a: 1\n# c\n"),
        ("l:\n- a: 1\n  b: 2\n", Edit(REMOVE, ("l", 0, "a")), "l:\n- b: 2\n"),
        ("l:\n- a: 1\n- b: 2\n# c\n", Edit(REMOVE, ("l", 1)), "l:\n- a: 1\n# c\n"),
        ("l: [1, 2, 3]\n", Edit(REMOVE, ("l", 2)), "l: [1, 2]\n"),
        ("l: [1, 2, 3]\n", Edit(REMOVE, ("l", 0)), "l: [2, 3]\n"),
        ("{a: 1, b: 2}\n", Edit(REMOVE, ("b",)), "{a: 1}\n"),
        ("a: &x {b: 1}\nc: *x\n", Edit(ADD, ("d",), 1), "a: &x {b: 1}\nc: *x\nd: 1\n"),
        ("base: &b {k: 1}\na:\n  <<: *b\n", Edit(ADD, ("a", "c"), 1), "base: &b {k: 1}\na:\n  <<: *b\n  c: 1\n"),
    ],
)
def test_an_edit_changes_this_and_nothing_else(text: str, edit: Edit, after: str) -> None:
    assert edit_text(text, 0, [edit]) == after


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a: &x {b: 1}\nc: *x\n", ("c", "d")),
        ("a: &x {b: 1}\nc: *x\n", ("a", "d")),
        ("base: &b {k: {l: 1}}\na:\n  <<: *b\n", ("a", "k", "m")),
        ("a: &x {b: 1}\nl:\n- *x\n", ("l", 1)),
    ],
)
def test_what_is_shared_is_not_changed_behind_the_others_back(text: str, path: Path) -> None:
    with pytest.raises(YamlEditError, match="write it out"):
        edit_text(text, 0, [Edit(ADD, path, 1)])


def test_only_the_named_document_is_edited() -> None:
    assert edit_text("a: 1\n---\na: 1\n", 1, [Edit(ADD, ("b",), 2)]) == "a: 1\n---\na: 1\nb: 2\n"


words = st.text(st.sampled_from("abc on:#-'\"{}[]\n\t&*!|>%@`é"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words.filter(bool), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None)
@given(values, values, st.sampled_from([True, False, None]), st.integers(2, 6))
def test_what_was_put_in_means_what_it_should_and_comes_out_again(
    there: Any, added: Any, flow: bool | None, indent: int
) -> None:
    document = {"first": there, "second": {"a": 1}}
    text = yaml.safe_dump(document, default_flow_style=flow, indent=indent, sort_keys=False) + "# end\n"
    for path in (("third",), ("second", "b")):
        edits = [Edit(ADD, path, added)]
        after = edit_text(text, 0, edits)
        assert yaml.safe_load(after) == edited(document, edits)
        assert edit_text(after, 0, [Edit(REMOVE, path)]) == text


CUSTOM = isvc(containers=[{"name": "mine", "image": "m", "ports": [{"containerPort": 9000, "name": "h2c"}]}])
MODEL = isvc({"pilotlight.dev/scaling": "on"}, model={"modelFormat": {"name": "x"}}, minReplicas=0)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.sampled_from([CUSTOM, MODEL, {"kind": "Service"}, None]), min_size=1, max_size=3),
    st.sampled_from([True, False, None]),
    st.integers(2, 8),
    st.data(),
)
def test_a_file_in_any_style_comes_back_byte_for_byte(
    bodies: list[dict[str, Any] | None], flow: bool | None, indent: int, data: st.DataObject
) -> None:
    text = yaml.safe_dump_all(bodies, default_flow_style=flow, indent=indent, sort_keys=False)
    if not flow:  # a comment on a line of its own may stand anywhere between the lines of block style
        lines = text.splitlines()
        for place in sorted(data.draw(st.sets(st.integers(0, len(lines)), max_size=5)), reverse=True):
            if place == len(lines) or lines[place].strip():
                lines.insert(place, data.draw(st.sampled_from(["# c", "      # c", "", "# c: - [{"])))
        text = "\n".join(lines) + "\n"
    after = change_file(read_file_content("f", text), lambda body, source: inject(body, IMAGE, source))
    assert after.errors == ()
    back = change_file(read_file_content("f", after.text), lambda body, _: remove(body))
    assert back.errors == ()
    assert back.text == text


def test_a_mistake_in_the_yaml_is_told_with_its_line_and_nothing_is_changed() -> None:
    content = read_file_content("f.yaml", "a: 1\n---\na: [\n")
    changed = change_file(content, lambda body, source: inject(body, IMAGE, source))
    assert changed.text == content.text
    assert str(changed.errors[0]).startswith("f.yaml:")


def test_a_refusal_names_the_line() -> None:
    text = yaml.safe_dump(isvc(containers=[{"name": "m"}], hostNetwork=True), sort_keys=False)
    changed = change_file(read_file_content("f.yaml", text), lambda body, source: inject(body, IMAGE, source))
    assert str(changed.errors[0]).startswith(
        f"f.yaml:{text[: text.index('hostNetwork')].count(chr(10)) + 1}: spec.pred"
    )
