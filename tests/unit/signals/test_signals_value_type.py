"""A value type is a value: equal by what it holds, of its own kind only, and without room for anything else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.signals.reading import Known, Stale


def test_values_are_equal_by_what_they_hold_and_only_to_their_own_kind() -> None:
    assert Known(1.0, 2.0) == Known(1.0, 2.0)
    assert hash(Known(1.0, 2.0)) == hash(Known(1.0, 2.0))
    stale: object = Stale(1.0, 2.0)
    assert Known(1.0, 2.0) != stale
    assert replace(Known(1.0), age=3.0) == Known(1.0, 3.0)


def test_a_value_takes_no_other_fields() -> None:
    with pytest.raises(AttributeError):
        Known(1.0).other = 2.0  # type: ignore[attr-defined]
