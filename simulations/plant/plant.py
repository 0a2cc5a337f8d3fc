"""SimulatedPlant: the core with its memory, its feed of requests, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, cast

import numpy as np

from simulations.plant.codes import (
    ARRIVED,
    INFINITE,
    MORE_ROWS,
    NO_ROOM,
    NONE,
    TELLS_ARRIVALS,
    TELLS_CHANGES,
)
from simulations.plant.compile import can_compile, compiled_core, plain_core
from simulations.plant.demand import Feed, Rows
from simulations.plant.initial import BIN_LIMIT, bin_width, initial_state
from simulations.plant.observe import Observer, ToldNumbers, ToldSeconds
from simulations.plant.observed import Observed
from simulations.plant.records import Event, Row, Told, ToldSecond, World
from simulations.plant.results import F8, Results
from simulations.plant.service_record import Service
from simulations.plant.storage import Cells, chain, grown, objects, read_many, read_one
from simulations.plant.summary import summary
from simulations.plant.work_records import BatchPlace, Group, Replica, Request
from simulations.scenario import Scenario, ScenarioError


class Requests(Protocol):
    """What is used of a trace."""

    @property
    def span(self) -> float: ...
    def chunks(self) -> Iterator[Rows]: ...


_MOST_REPLICAS_AT_ONCE = 1_000_000
# Whole seconds that are kept beyond those between two observations: what somebody is told who has rested.
_SECONDS_KEPT = 120


class SimulatedPlant:
    """The world that policies act on. Services go by their index in the scenario.

    `compiled` None: compiled where numba is installed. Both ways give the same bits.
    """

    def __init__(
        self,
        scenario: Scenario,
        trace: Requests,
        *,
        compiled: bool | None = None,
        longest_period: float = 60.0,
        keep_latencies: int = 0,
    ) -> None:
        """At the beginning of the trace. `longest_period`: seconds between two observations of a service, at most."""
        self._core = compiled_core() if (can_compile() if compiled is None else compiled) else plain_core()
        self._scenario = scenario
        self._ring = int(longest_period + scenario.metrics.delay) + _SECONDS_KEPT
        self._bin_width = bin_width(trace.span)
        self._state = initial_state(
            scenario,
            compiled=self._core.compiled,
            ring=self._ring,
            bins=BIN_LIMIT,
            width=self._bin_width,
            latencies=keep_latencies,
        )
        self._world = Cells(World, self._state.world)
        self._services = Cells(Service, self._state.services)
        self._feed = Feed(scenario, trace.chunks())
        self._read_told = cast("Callable[[], ToldNumbers]", read_one(Told, self._state.told))
        self._read_seconds = cast("Callable[[int], ToldSeconds]", read_many(ToldSecond, self._state.told_seconds))
        self._observers = [
            Observer(s, scenario.metrics, scenario.seed, self._tell) for s in range(len(scenario.services))
        ]
        self._now = 0.0
        self.found_nobody = False
        for s, service in enumerate(scenario.services):
            if service.initial:
                self._make_room(service.initial)
                self._core.have_ready(self._state, s, service.initial)

    @property
    def now(self) -> float:
        """How far it has come."""
        return self._now

    @property
    def compiled(self) -> bool:
        """Whether the compiled core runs."""
        return self._core.compiled

    def advance(self, until: float) -> int:
        """Let time pass up to `until`. Returns −1 then; or earlier the service in which a request has just found no
        endpoint, or in which any has come where that was asked for; `now` is that moment."""
        advance = self._core.advance
        while True:
            why = advance(self._state, until)
            if why == ARRIVED:
                self._now = until
                return NONE
            if why == MORE_ROWS:
                self._load_rows()
            elif why == NO_ROOM:
                self._make_room(1)
                self._grow_requests()
            else:
                world = self._world
                self._now, told = world.read("now"), int(world.read("told"))
                self.found_nobody = world.read("found_nobody") == 1
                world.write("told", NONE)
                world.write("found_nobody", 0)
                return told

    def observe(self, service: int, *, urgent: bool = False, since: float | None = None) -> Observed:
        """What a controller knows of it now. What was told once is not told again. `since`: when it would have been
        told last, where steps were left out; at most a period ago."""
        return self._observers[service].observed(self._now, urgent=urgent, since=since)

    def _tell(
        self, service: int, after_work: int, after_held: int, heard: float, urgent: bool
    ) -> tuple[ToldNumbers, ToldSeconds]:
        """What `core.tell` writes."""
        count = self._core.tell(self._state, service, after_work, after_held, heard, urgent)
        return self._read_told(), self._read_seconds(count)

    def order(self, service: int, replicas: int) -> None:
        """So many replicas are wanted from now on. Raises ScenarioError for a number that nobody can mean."""
        if not 0 <= replicas <= _MOST_REPLICAS_AT_ONCE:
            raise ScenarioError(f"{self._scenario.services[service].name}: {replicas} replicas cannot be ordered")
        self._make_room(replicas)
        self._core.order(self._state, service, replicas)

    def put_activator(self, service: int, in_path: bool) -> None:
        """Whether requests pass the activator; without a ready replica they always do."""
        self._services.write("in_path", int(in_path), service)

    def put_idle_first(self, service: int, idle_first: bool) -> None:
        """Whether of ready replicas the idlest goes first, as pods' deletion costs make it, or the youngest."""
        self._services.write("idle_first", int(idle_first), service)

    def tell_arrivals(self, service: int, *, every: bool = False) -> None:
        """Let `advance` stop when a request of this service finds no endpoint, or when any comes."""
        self._services.write("tells", TELLS_ARRIVALS if every else 1, service)

    def tell_changes(self, service: int) -> None:
        """Let `advance` stop whenever something happens to this service, until `tell_arrivals` is called."""
        self._services.write("tells", TELLS_CHANGES, service)

    def forget_worst_windows(self) -> None:
        """The worst five minutes are sought from now on."""
        for name, value in (("worst_window", INFINITE), ("window_ended", 0), ("window_good", 0)):
            self._world.write(name, value)
            for s in range(len(self._scenario.services)):
                self._services.write(name, value, s)

    def results(self) -> Results:
        """What has happened up to now."""
        self._core.look_at_all(self._state)
        return summary(self._scenario, self._state)

    def latencies(self) -> F8:
        """Seconds of the first requests of the trace, as many as are kept; NaN for those that did not complete."""
        kept = np.array(self._state.latencies[: self._number("latencies_kept")], np.float64)
        return np.where(kept > 0.0, kept, np.nan)

    # Inside.

    def _number(self, name: str) -> int:
        return int(self._world.read(name))

    def _load_rows(self) -> None:
        rows = self._feed.next()
        self._world.write("cursor", 0)
        if rows is None:
            self._world.write("rows", 0)
            self._world.write("trace_over", 1)
            return
        self._world.write("rows", len(rows[0]))
        if not self._core.compiled:
            columns = [column.tolist() for column in rows]
            self._state = self._state._replace(rows=[Row(*row) for row in zip(*columns, strict=True)])
            return
        count = len(rows[0])
        if count > len(self._state.rows):
            table = np.empty(count, np.asarray(self._state.rows).dtype)
            self._state = self._state._replace(rows=cast("Sequence[Row]", table))
        place = cast("np.ndarray[tuple[int]]", self._state.rows)
        for name, column in zip(("at", "service", "seconds", "input_tokens", "output_tokens"), rows, strict=True):
            place[name][:count] = column

    def _grow_requests(self) -> None:
        """Twice the requests, and what comes with them."""
        world, state, before = self._world, self._state, self._number("request_room")
        if self._number("requests_used") >= before:
            after = 2 * before
            requests = grown(Request, state.requests, after)
            chain(requests, "behind", before, after, self._number("free_request"))
            world.write("free_request", before)
            world.write("request_room", after)
            self._state = state._replace(requests=requests)
        self._grow_events(2 * self._number("event_room"))

    def _grow_events(self, room: int) -> None:
        if room > self._number("event_room"):
            self._state = self._state._replace(heap=grown(Event, self._state.heap, room))
            self._world.write("event_room", room)

    def _make_room(self, replicas: int) -> None:
        """So that this many may be there, beside all that are, before an order is carried out."""
        world, number, services = self._world, self._number, len(self._scenario.services)
        needed, before = number("replicas_used") + replicas + 1, number("replica_room")
        if needed > before:
            state, after = self._state, max(needed, 2 * before)
            all_replicas = grown(Replica, state.replicas, after)
            groups = grown(Group, state.groups, after + services + 2)
            chain(all_replicas, "next", before, after, number("free_replica"))
            first_group = before + services + 2
            chain(groups, "higher", first_group, after + services + 2, number("free_group"))
            world.write("free_replica", before)
            world.write("free_group", first_group)
            world.write("replica_room", after)
            self._state = state._replace(
                replicas=all_replicas,
                groups=groups,
                batches=grown(BatchPlace, state.batches, max(1, after * number("batch"))),
            )
        self._grow_events(number("events") + 2 * (number("requests_used") + needed) + 128)

    def services(self) -> list[Service]:
        """The services' records, for tests of laws."""
        self._core.look_at_all(self._state)
        return objects(Service, self._state.services)
