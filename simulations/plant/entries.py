"""The entries into compiled code: plain numbers cross from Python, which costs a fraction of a microsecond a call."""

from __future__ import annotations

from simulations.plant.core.advance import advance, look_at_all, order_at
from simulations.plant.core.tell import have_ready, tell
from simulations.plant.records import State


def as_state(address: int) -> State:
    """The State whose addresses are there; compiled code alone can say so (`compiled_types`)."""
    raise NotImplementedError


def advance_at_address(address: int, until: float) -> int:
    return advance(as_state(address), until)


def order_at_at_address(address: int, s: int, wanted: int) -> None:
    order_at(as_state(address), s, wanted)


def have_ready_at_address(address: int, s: int, count: int) -> None:
    have_ready(as_state(address), s, count)


def look_at_all_at_address(address: int) -> None:
    look_at_all(as_state(address))


def tell_at_address(address: int, s: int, after_work: int, after_held: int, heard: float, urgent: int) -> int:
    return tell(as_state(address), s, after_work, after_held, heard, urgent)
