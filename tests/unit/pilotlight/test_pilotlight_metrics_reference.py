"""The page of metrics: current, without doubles, and each name is one that a process really shows."""

from __future__ import annotations

from pathlib import Path

from pilotlight.metrics_reference import activator_rows, controller_rows, queue_proxy_rows, render

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_page_in_docs_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "write it again with `make docs`"


def test_no_metric_has_two_rows() -> None:
    names = [row.name for rows in (controller_rows, activator_rows, queue_proxy_rows) for row in rows()]
    assert len(set(names)) == len(names)


def test_no_row_of_a_table_is_broken() -> None:
    rows = [line for line in render().splitlines() if line.startswith("| `")]
    assert {line.count(" | ") for line in rows} == {3}
