"""Outputs are written whole, where that can be done and nothing else is lost by it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pilotlight.errors import CommandError
from pilotlight.output_file import check_replaceable, write_whole


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CommandError, match=r"--json .*pipe: is not a regular file"):
        check_replaceable(pipe, "--json")


@pytest.mark.parametrize(("name", "said"), [("/proc/out", "cannot be written"), ("/nowhere/out", "no directory")])
def test_where_nothing_can_be_written_is_known_before(name: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        check_replaceable(Path(name), "--report")


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "out.html", "--report")
    assert not list(tmp_path.iterdir())


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    link, target = tmp_path / "latest", tmp_path / "today"
    link.symlink_to(target)
    check_replaceable(link, "--csv")
    write_whole(link, "text", "--csv")
    assert link.is_symlink()
    assert target.read_text() == "text"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["latest", "today"]


def test_links_that_point_at_each_other_are_replaced_by_the_file(tmp_path: Path) -> None:
    link = tmp_path / "loop"
    link.symlink_to(link)
    check_replaceable(link, "--csv")
    write_whole(link, "text", "--csv")
    assert link.read_text() == "text"
    assert not link.is_symlink()
