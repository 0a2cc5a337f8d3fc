"""Warnings that anybody can cause are few, and what was left out is told."""

from __future__ import annotations

import logging

import pytest

from autoscaler.controller.limited_warnings import LimitedWarnings


def test_a_minute_has_ten_and_the_next_one_tells_how_many_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    now = 5.0
    warnings = LimitedWarnings(logging.getLogger("door"), lambda: now)
    for number in range(1_000):
        warnings.warn("refused %d", number)
    assert [record.getMessage() for record in caplog.records] == [f"refused {number}" for number in range(10)]
    caplog.clear()
    now += 60.0
    warnings.warn("refused %s again", "a")
    warnings.warn("refused %s again", "b")
    assert [record.getMessage() for record in caplog.records] == [
        "refused a again (990 more before this one were left out)",
        "refused b again",
    ]
