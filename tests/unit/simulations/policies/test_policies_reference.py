"""The page of all policies: current, complete, and its defaults are those that apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulations.policies.registry import ALIASES, POLICIES, named_policy
from simulations.policies.settings import PolicyError
from simulations.policies_reference import render

PAGE = Path(__file__).parents[4] / "docs" / "policies.md"


def test_the_page_in_docs_is_what_the_registry_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "write it again with `make docs`"


def test_every_name_and_every_key_is_on_the_page() -> None:
    page = render()
    assert all(f"`{name}`" in page for name in (*POLICIES, *ALIASES))
    for kind in POLICIES.values():
        assert all(f"| `{key.name}` | {key.setting.about} |" in page for key in kind.keys), kind.name


def test_no_line_of_a_table_is_broken() -> None:
    rows = [line for line in render().splitlines() if line.startswith("| `")]
    assert {line.count(" | ") for line in rows} == {3}


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"peak"}))
def test_a_default_may_be_written_as_it_stands_there(name: str) -> None:
    kind = POLICIES[name]
    spelled_out = f"{name}:{','.join(f'{key.name}={key.shown}' for key in kind.keys)}"
    try:
        assert named_policy(spelled_out).canonical == named_policy(name).canonical
    except PolicyError as error:
        pytest.fail(f"{spelled_out}: {error}")
