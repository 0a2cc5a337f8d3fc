"""Lines that fit: folded between words under their column, cut with a mark, and numbers never cut for words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.controller_api import Body
from pilotlight.status import status_lines
from pilotlight.terminal import cut, folded

SERVICE = Body(
    {
        "service": "default/chat", "phase": "serving", "mode": "on", "wanted": 1, "starting": 0, "ready": 1,
        "in_flight": 12, "held": 345, "url": "http://127.0.0.1:8081", "explanation": "Stays at 1: " + "why " * 30,
    }
)  # fmt: skip


def test_a_line_that_is_too_long_goes_on_under_its_column() -> None:
    assert folded(["  why         one two three"], 20, 14) == [
        "  why         one",
        " " * 14 + "two",
        " " * 14 + "three",
    ]


def test_lines_that_fit_stay_as_they_are() -> None:
    lines = ["default/chat  serving", "", "  signals     → backlog    asks for 1"]
    assert folded(lines, 60, 14) == lines


@given(
    st.lists(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=120), max_size=4), st.integers(40, 200)
)
def test_no_folded_line_is_wider_than_the_terminal(lines: list[str], columns: int) -> None:
    assert all(len(line) <= columns for line in folded(lines, columns, 16))


def test_what_is_cut_says_so() -> None:
    assert (cut("abcdef", 6), cut("abcdef", 5)) == ("abcdef", "abcd…")


@pytest.mark.parametrize("width", [80, 100])
def test_a_narrow_status_has_every_number_and_the_whole_url(width: int) -> None:
    heading, counts, below = status_lines((SERVICE,), width)
    assert heading.split() == ["SERVICE", "STATE", "WANTED", "STARTING", "READY", "IN", "FLIGHT", "HELD"]
    assert counts.split() == ["default/chat", "serving", "1", "0", "1", "12", "345"]
    assert below.startswith("  http://127.0.0.1:8081  Stays at 1: why")
    assert len(below) <= width


def test_a_wide_status_is_one_line_a_service() -> None:
    lines = status_lines((SERVICE,), 200)
    assert len(lines) == 2
    assert "http://127.0.0.1:8081  Stays at 1: why" in lines[1]
