"""The slices of one service, written until they say what they shall, whoever else writes them meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.path_state import PathState
from autoscaler.cluster.kubernetes.slice_store import Store
from autoscaler.cluster.kubernetes.slices import SliceFacts, Wanted

_CONFLICTS_IN_A_ROW = 4


async def write_slices(
    store: Store, state: PathState, wanted: Callable[[], tuple[Wanted, ...] | None], took: Callable[[], None]
) -> None:
    """Write what is not as it shall be, and nothing else. Raises ApiError.

    `wanted` is asked before each round (nothing: there shall be no slice; None: they shall stay as they are); `took` is
    called after each answer of the API server, which is as good as an event, and earlier.
    """
    for _ in range(_CONFLICTS_IN_A_ROW):
        now = wanted()
        if now is None or await _one_round(store, state, now, took):
            return
    raise ApiError(409, "Conflict", f"{state.service}: its EndpointSlice keeps changing under our hands")


def as_wanted(state: PathState, wanted: tuple[Wanted, ...] | None) -> bool:
    """Whether there is nothing to write, as far as is known."""
    if wanted is None:
        return True
    there = {facts.name: facts for facts in state.slices}
    return there.keys() == {one.name for one in wanted} and all(one.said_by(there[one.name]) for one in wanted)


async def _one_round(store: Store, state: PathState, wanted: tuple[Wanted, ...], took: Callable[[], None]) -> bool:
    """False when another is needed, because something had changed."""

    def take(name: str, facts: SliceFacts | None) -> None:
        state.take(name, facts)
        took()

    namespace = state.service.partition("/")[0]
    there = {facts.name: facts for facts in state.slices}
    settled = True
    for one in wanted:
        facts = there.pop(one.name, None)
        if facts is not None and one.said_by(facts):
            continue
        if facts is not None and facts.family != one.family:
            await store.delete(namespace, facts)  # the family of a slice cannot be changed
            facts = None
        stored = await store.write(namespace, one, facts)
        take(one.name, stored)
        settled = settled and stored is not None and one.said_by(stored)
    for name, facts in there.items():
        await store.delete(namespace, facts)
        take(name, None)
    return settled
