"""Events come out by time, and of one moment in the order in which they were put in, however many there are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.plant.codes import DONE, EVENT_KINDS, NEAR
from simulations.plant.core.events import pop, push
from simulations.plant.initial import initial_state
from simulations.plant.records import State
from simulations.scenario import DrawnSeconds, Scenario, ServiceSpec, StartDraws


def _nothing_to_come() -> State:
    one = Scenario((ServiceSpec("one", DrawnSeconds(1.0), StartDraws.of("1 s", 1.0)),))
    return initial_state(one, compiled=False, ring=10, bins=4, width=1.0, latencies=0)


# None takes one out, which is seldom enough for the line to overflow. Few moments, so that many fall together.
_STEP = st.integers(-6, 40).map(lambda at: at if at >= 0 else None)


_MANY = st.lists(st.integers(0, 40), min_size=2 * NEAR, max_size=2 * NEAR)
# The line is full, then empty, then filled from the heap, and only then something comes again.
_AFTER_A_REFILL = st.tuples(_MANY, st.lists(_STEP, max_size=3 * NEAR)).map(
    lambda parts: [*parts[0], *[None] * (NEAR + 8), *parts[1]]
)


@settings(deadline=None)
@given(st.lists(_STEP, max_size=NEAR) | st.lists(_STEP, min_size=2 * NEAR, max_size=4 * NEAR) | _AFTER_A_REFILL)
def test_the_first_to_come_is_taken_out_and_of_equals_the_one_that_was_there_first(steps: list[int | None]) -> None:
    state = _nothing_to_come()
    waiting: list[tuple[int, int]] = []
    for number, step in enumerate([*steps, *[None] * len(steps)]):
        if step is not None:
            push(state, float(step), DONE, number)
            waiting.append((step, number))
        elif waiting:
            first = min(waiting)
            waiting.remove(first)
            assert state.near[state.world[0].near - 1].at == first[0]
            assert pop(state) == first[1] * EVENT_KINDS + DONE
        assert state.world[0].near + state.world[0].events == len(waiting)
        assert (state.world[0].near > 0) == bool(waiting)
