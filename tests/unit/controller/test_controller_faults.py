"""What goes wrong with one service stays with it; what ends a task or the process does not stay anywhere."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.controller.service.faults import FaultKind, Faults


def test_what_is_raised_inside_is_kept_with_where_it_was() -> None:
    faults = Faults("default/one")
    with faults.contained(lambda: 12.0, FaultKind.NUMBERS):
        raise ValueError("no number")
    (fault,) = faults.current
    assert (fault.kind, fault.since, fault.times) == (FaultKind.NUMBERS, 12.0, 1)
    assert fault.message.startswith("ValueError: no number (in test_what_is_raised_inside_is_kept")


def test_what_goes_well_is_no_fault() -> None:
    faults = Faults("default/one")
    with faults.contained(lambda: 12.0, FaultKind.NUMBERS):
        pass
    assert faults.current == ()


@pytest.mark.parametrize("ending", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_what_ends_a_task_goes_on(ending: type[BaseException]) -> None:
    faults = Faults("default/one")
    with pytest.raises(ending), faults.contained(lambda: 12.0, FaultKind.NUMBERS):
        raise ending
    assert faults.current == ()
