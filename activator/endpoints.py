"""The endpoints of one service: what each has in flight, which of them may be given a request, and which one next.

Pure: no I/O and no clock. Three sources say whether an endpoint can serve: the controller's table, the endpoint's
own answer to `/ready` (which comes earlier: the table follows it by a network hop and a turn of the controller), and
the connections that we could not make. They disagree while things change, so one place folds them into one standing.

An endpoint that other activators use, too, is shared: what it has room for only its queue proxy knows, and what it may
be given are the tokens that the queue proxy has granted (`queue_proxy.sharing`), not what is left of a capacity.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from activator.endpoint_load import EndpointLoad, Standing
from activator.load_buckets import LoadBuckets
from activator.messages import Endpoint, EndpointState

FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class TableChange:
    """What a new table brought: endpoints that were not there before, and those that are no longer listed."""

    added: tuple[EndpointLoad, ...]
    removed: tuple[EndpointLoad, ...]


_Address = tuple[str, str, int, int]


class Endpoints:
    """All endpoints of one service."""

    def __init__(self) -> None:
        self._capacity = 0
        self._listed: dict[_Address, EndpointLoad] = {}
        self._gone_with_work: dict[_Address, EndpointLoad] = {}
        # Ready endpoints that nobody shares, by what they have in flight.
        self._own = LoadBuckets()
        self._ready = 0
        self._trials: OrderedDict[EndpointLoad, None] = OrderedDict()
        self._backing_off: dict[EndpointLoad, None] = {}
        # Shared endpoints that are ready, and those of them that have granted something.
        self._shared: OrderedDict[EndpointLoad, None] = OrderedDict()
        self._granted: OrderedDict[EndpointLoad, None] = OrderedDict()
        self._unwanted: list[tuple[EndpointLoad, bytes]] = []

    @property
    def any_ready(self) -> bool:
        """Whether somebody serves, if perhaps at the limit of its capacity. A trial is nobody yet."""
        return self._ready > 0

    def all(self) -> Iterable[EndpointLoad]:
        """Every listed endpoint."""
        return self._listed.values()

    def unproven(self) -> list[EndpointLoad]:
        """Those whose own answer to `/ready` would change what they may be given."""
        waiting = (Standing.STARTING, Standing.UNREACHABLE, Standing.TRIAL)
        return [load for load in self._listed.values() if load.standing in waiting and not load.proven]

    def update(self, table: Iterable[Endpoint], capacity: int) -> TableChange:
        """Take over the controller's list. `capacity` is what one endpoint takes at a time; 0 means no limit.

        What is in flight stays counted, also on an endpoint that leaves and comes back: its requests have not gone away
        with its name.
        """
        self._capacity = capacity
        wanted = {_address(endpoint): endpoint for endpoint in table}
        removed = tuple(self._remove(address) for address in [a for a in self._listed if a not in wanted])
        added = []
        for address, endpoint in wanted.items():
            load = self._listed.get(address)
            if load is None:
                load = self._gone_with_work.pop(address, None) or EndpointLoad(endpoint)
                self._listed[address] = load
                added.append(load)
            self._follow_table(load, endpoint)
        return TableChange(tuple(added), removed)

    def take(self) -> EndpointLoad | None:
        """Give one request to the endpoint with most room; None when none has any. Pair it with `release`, and for a
        shared endpoint with `token`, which the request needs there."""
        if self._granted:
            load = self._most_granted()
            load.in_flight += 1
            return load
        free = self._own.first(self._capacity)
        if free is not None:
            self._own.move(free, 1)
            return free
        if self._trials:
            load, _ = self._trials.popitem(last=False)
            load.in_flight += 1
            return load
        return None

    def least_loaded(self) -> EndpointLoad | None:
        """The ready endpoint with most room, whether that is any or none; for what takes no place."""
        return self._own.first() or next(iter(self._shared), None)

    def token(self, load: EndpointLoad) -> bytes | None:
        """The token for the request that `take` has just given to `load`; None where none is needed."""
        if not load.shared or not load.tokens:
            return None
        token = load.tokens.popleft()
        self._granted.pop(load, None)
        if load.tokens:
            self._granted[load] = None
        return token

    def share(self, load: EndpointLoad, shared: bool) -> None:
        """Its queue proxy says whether other activators use it, too. What it granted before is void."""
        if load.shared is shared:
            return
        load.tokens.clear()
        if load.standing is Standing.READY:
            self._leave_ready(load)
            load.shared = shared
            self._enter_ready(load)
        else:
            load.shared = shared

    def granted(self, load: EndpointLoad, token: bytes) -> bool:
        """Its queue proxy grants a token; False when it cannot be used now and must be returned."""
        if not load.shared or load.standing is not Standing.READY:
            return False
        load.tokens.append(token)
        self._granted[load] = None
        return True

    def recalled(self, load: EndpointLoad, token: bytes) -> bool:
        """Its queue proxy wants a token back; False when it is not here any more."""
        if token not in load.tokens:
            return False
        load.tokens.remove(token)
        if not load.tokens:
            self._granted.pop(load, None)
        return True

    def unwanted(self) -> list[tuple[EndpointLoad, bytes]]:
        """Tokens of endpoints that stopped being ready since the last call: to be returned."""
        unwanted, self._unwanted = self._unwanted, []
        return unwanted

    def release(self, load: EndpointLoad, *, reached: bool) -> None:
        """A request that `take` gave out has ended. `reached`: the endpoint accepted its connection."""
        if reached:
            load.failures = 0
        if load.standing is Standing.READY and not load.shared:
            self._own.move(load, -1)
            return
        load.in_flight -= 1
        if load.standing is Standing.TRIAL:
            if reached:
                self._stand(load, Standing.READY)
            elif load.in_flight == 0:
                self._trials[load] = None  # its client left before anything was known: the trial is still to be made
        elif load.standing is Standing.GONE and load.in_flight == 0:
            self._gone_with_work.pop(_address(load.endpoint), None)

    def unreachable(self, load: EndpointLoad, now: float) -> None:
        """No connection could be made. Many requests may learn that at once: together they count as one failure."""
        if load.standing not in (Standing.READY, Standing.TRIAL):
            return
        load.failures += 1
        load.proven = False
        load.retry_at = now + min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(load.failures - 1, 30))
        self._stand(load, Standing.UNREACHABLE)

    def proven(self, load: EndpointLoad, now: float) -> None:
        """Its queue proxy has answered that the model is ready.

        That ends a trial, too, but not the back-off: a proxy that says it is ready and refuses connections would
        otherwise be tried in a tight loop.
        """
        if load.standing in (Standing.GONE, Standing.DRAINING):
            return
        load.proven = True
        backing_off = load.standing is Standing.UNREACHABLE and now < load.retry_at
        if load.standing in (Standing.STARTING, Standing.UNREACHABLE, Standing.TRIAL) and not backing_off:
            self._stand(load, Standing.READY)

    def next_retry(self) -> float | None:
        """When the next back-off ends, None when none runs. Call `retry` then."""
        return min((load.retry_at for load in self._backing_off), default=None)

    def retry(self, now: float) -> None:
        """End the back-offs that are over: who has said to be ready is, anybody else gets one request to show it.

        An endpoint that the table calls starting gets none: its own word is what it lacks.
        """
        for load in [load for load in self._backing_off if load.retry_at <= now]:
            if load.proven:
                self._stand(load, Standing.READY)
            elif load.endpoint.state is EndpointState.READY:
                self._stand(load, Standing.TRIAL)
            else:
                self._stand(load, Standing.STARTING)

    def _follow_table(self, load: EndpointLoad, endpoint: Endpoint) -> None:
        before, load.endpoint = load.endpoint.state, endpoint
        if endpoint.state is EndpointState.DRAINING:
            self._stand(load, Standing.DRAINING)
            return
        if before is EndpointState.READY and endpoint.state is EndpointState.STARTING:
            # It was ready and is so no longer: what it said of itself before that does not count any more.
            load.proven = False
        if load.standing is Standing.UNREACHABLE:
            return
        if endpoint.state is EndpointState.READY:
            if load.standing is not Standing.TRIAL:
                self._stand(load, Standing.READY)
        else:
            self._stand(load, Standing.READY if load.proven else Standing.STARTING)

    def _remove(self, address: _Address) -> EndpointLoad:
        load = self._listed.pop(address)
        self._stand(load, Standing.GONE)
        load.proven = False
        if load.in_flight:
            self._gone_with_work[address] = load
        return load

    def _stand(self, load: EndpointLoad, standing: Standing) -> None:
        """The only place where a standing changes, so that buckets and counts cannot come apart from it."""
        if load.standing is standing:
            return
        if load.standing is Standing.READY:
            self._leave_ready(load)
            self._ready -= 1
        self._trials.pop(load, None)
        self._backing_off.pop(load, None)
        load.standing = standing
        if standing is Standing.READY:
            self._ready += 1
            self._enter_ready(load)
        elif standing is Standing.TRIAL:
            self._trials[load] = None
        elif standing is Standing.UNREACHABLE:
            self._backing_off[load] = None

    def _enter_ready(self, load: EndpointLoad) -> None:
        if load.shared:
            self._shared[load] = None
        else:
            self._own.enter(load)

    def _leave_ready(self, load: EndpointLoad) -> None:
        if not load.shared:
            self._own.leave(load)
            return
        del self._shared[load]
        self._granted.pop(load, None)
        self._unwanted += ((load, token) for token in load.tokens)
        load.tokens.clear()

    def _most_granted(self) -> EndpointLoad:
        """Where most is granted there is most room, as far as is known here; of equal ones, who had that longest. Looks
        at all of them, which is nothing beside the messages that it took to get their tokens."""
        return max(self._granted, key=lambda load: len(load.tokens))


def _address(endpoint: Endpoint) -> _Address:
    return (endpoint.name, endpoint.host, endpoint.port, endpoint.admin_port)
