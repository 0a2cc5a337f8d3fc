"""The reference page: current, complete, and its example is one that is read."""

from __future__ import annotations

from pathlib import Path

from autoscaler.policy import keys
from autoscaler.policy.parse import read_policy
from autoscaler.policy.reference import EXAMPLE, render
from autoscaler.policy.yaml_documents import read_documents

PAGE = Path(__file__).parents[3] / "docs" / "policy.md"


def test_the_page_in_docs_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "write it again with `make docs`"


def test_every_key_and_every_spelling_is_on_the_page() -> None:
    page = render()
    for key in keys.ALL:
        for name in (key.name, *key.spellings):
            assert f"`{name}`" in page or f"`{name.partition('/')[2] or name.rpartition('.')[2]}`" in page, name


def test_no_line_of_a_table_is_broken() -> None:
    rows = [line for line in render().splitlines() if line.startswith("| `")]
    assert {line.count(" | ") for line in rows} == {3}


def test_the_example_on_the_page_is_read() -> None:
    (document,) = read_documents(EXAMPLE)
    assert isinstance(document.value, dict)
    policy = read_policy(document.value)
    assert (policy.stable_window_seconds, policy.target, policy.max_replicas) == (120.0, 12.0, 4)
