"""Run: a trace through the plant, with a policy for each service that decides between its events.

    plant.advance(until the next step is due) → plant.observe → policy.step → plant.order

A policy is asked once in its period, at once when a request finds no endpoint (if it is urgent, as a controller
that activators push to), and not at all while it rests: a service that sleeps costs nothing until somebody comes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from simulations.plant.demand import Rows
from simulations.plant.observed import Observed
from simulations.plant.plant import SimulatedPlant
from simulations.plant.results import F8, Results
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.scenario import Scenario, ScenarioError

# As the controller's Cadence.urgent_gap: a burst of first requests is not a burst of decisions.
_URGENT_GAP = 0.05
_NEVER = math.inf


class SimulatedTrace(Protocol):
    """What is used of a trace: see simulations.traces.trace.Trace."""

    @property
    def span(self) -> float:
        """Seconds that it covers."""
        ...

    def chunks(self) -> Iterator[Rows]:
        """Its requests."""
        ...


Watch = Callable[[Observed, Order], None]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over.

    steps   how often a policy was asked
    before  what had happened up to the end of the warm-up, which `results` holds as well; None without one
    latencies  seconds of the first requests of the trace, in its order, NaN where one did not complete; None: not kept
    """

    results: Results
    steps: int
    compiled: bool
    before: Results | None = None
    latencies: F8 | None = None


def simulate(
    scenario: Scenario,
    trace: SimulatedTrace,
    make: MakePolicy | Sequence[Policy],
    *,
    until: float | None = None,
    first_turn: float = 0.0,
    warm_up: float = 0.0,
    keep_latencies: int = 0,
    compiled: bool | None = None,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Run:
    """Run `trace` with what `make` makes for each service, or with these policies.

    until     where the run ends, seconds; by default with the trace, and what is not finished then is UNFINISHED
    first_turn  when policies are asked first, seconds, and from then on once in each period: readings are of whole
              seconds, and turns of a real controller at any moment of theirs. Policies that go by a clock of their own
              (hpa, keda) want 0
    warm_up   seconds at the beginning that are told apart, and that no worst window is in
    keep_latencies  of so many requests at the beginning of the trace the latencies are kept one by one
    compiled  None: compiled where numba is installed; the results are the same
    watch     is told each observation and what came of it; progress: the share of the time that is done, now and then

    Raises ScenarioError for policies that do not fit the scenario, or a period that is not positive.
    """
    policies = list(make) if isinstance(make, Sequence) else [make(service, scenario) for service in scenario.services]
    _check(scenario, policies)
    longest = max(policy.period for policy in policies)
    plant = SimulatedPlant(scenario, trace, compiled=compiled, longest_period=longest, keep_latencies=keep_latencies)
    end = trace.span if until is None else until
    loop = _Loop(plant, policies, end, watch, first_turn)
    before = None
    if warm_up > 0.0:
        loop.run(min(warm_up, end), progress)
        before = plant.results()
        plant.forget_worst_windows()
    loop.run(end, progress)
    return Run(plant.results(), loop.steps, plant.compiled, before, plant.latencies() if keep_latencies else None)


class _Turns:
    """When one service's policy is asked, and what it has said so far.

    due      when it is asked next; the loop's heap may hold older wishes, too
    told     a request has found no endpoint since it was asked
    resting  it is not asked before something happens; with_replicas: before anything comes at all; repeating: before
             anything changes, because each step until `due` would only repeat the last one
    left_out  it was repeating, and has not been asked since
    """

    __slots__ = (
        "due",
        "idle_first",
        "in_path",
        "last_urgent",
        "left_out",
        "period",
        "policy",
        "repeating",
        "resting",
        "resting_with_replicas",
        "told",
        "urgent",
        "wanted",
    )

    def __init__(self, policy: Policy, first_turn: float) -> None:
        self.policy = policy
        self.period = policy.period
        self.urgent = policy.urgent
        self.due = first_turn
        self.wanted = -1
        self.in_path = self.idle_first = True
        self.resting = self.resting_with_replicas = self.repeating = self.left_out = self.told = False
        self.last_urgent = -_NEVER


class _Loop:
    """Who is asked when."""

    def __init__(
        self, plant: SimulatedPlant, policies: Sequence[Policy], end: float, watch: Watch | None, first_turn: float
    ) -> None:
        self.steps = 0
        self._plant = plant
        self._end = end
        self._watch = watch
        self._first_turn = first_turn
        self._turns = [_Turns(policy, first_turn) for policy in policies]
        self._heap = [(first_turn, s) for s in range(len(policies))]
        for s in range(len(policies)):
            plant.tell_arrivals(s)

    def run(self, end: float, progress: Progress | None) -> None:
        """Up to `end`, from where it has come to."""
        plant, heap, turns = self._plant, self._heap, self._turns
        shown = plant.now
        while True:
            while heap and heap[0][0] != turns[heap[0][1]].due:
                heapq.heappop(heap)
            at, s = heap[0] if heap else (_NEVER, 0)
            told = plant.advance(at if at < end else end)
            if told >= 0:
                self._arrival(told)
            elif at > end:
                return
            else:
                heapq.heappop(heap)
                self._step(s, at)
                if progress is not None and at - shown >= self._end / 200:
                    shown = at
                    progress(at / self._end)

    def _arrival(self, s: int) -> None:
        """A request found no endpoint, or something happened while its policy rested. An urgent policy is asked now
        when a request found none; whoever rested is asked at its next turn, as if it had never ceased to be asked."""
        turns, now = self._turns[s], self._plant.now
        if turns.repeating:
            turns.repeating, turns.left_out = False, True
            self._plant.tell_arrivals(s)
            at = self._first_turn_from(turns.period, now)
            if turns.urgent and self._plant.found_nobody:
                at = min(at, max(now, turns.last_urgent + _URGENT_GAP))
                turns.told = True
        elif turns.resting_with_replicas:
            self._plant.tell_arrivals(s)
            at = self._next_turn(turns.period, now)
        elif turns.urgent:
            at = max(now, turns.last_urgent + _URGENT_GAP)
            turns.told = True
        elif turns.resting:
            at = self._next_turn(turns.period, now)
        else:
            return
        at = max(at, self._first_turn)
        if at < turns.due:
            self._ask_at(s, turns, at)

    def _step(self, s: int, now: float) -> None:
        plant, turns = self._plant, self._turns[s]
        if turns.repeating:
            turns.repeating, turns.left_out = False, True
            plant.tell_arrivals(s)
        since: float | None = None
        if turns.left_out:
            turns.left_out = False
            since = self._first_turn_from(turns.period, now) - turns.period
        urgent = turns.told
        if urgent:
            turns.told = False
            turns.last_urgent = now
        observed = plant.observe(s, urgent=urgent, since=since)
        order = turns.policy.step(observed)
        self.steps += 1
        if order.idle_first is not turns.idle_first:
            turns.idle_first = order.idle_first
            plant.put_idle_first(s, order.idle_first)
        if order.replicas != turns.wanted:
            turns.wanted = order.replicas
            plant.order(s, order.replicas)
        if order.activator_in_path is not turns.in_path:
            turns.in_path = order.activator_in_path
            plant.put_activator(s, order.activator_in_path)
        if self._watch is not None:
            self._watch(observed, order)
        self._rest_or_ask(s, turns, observed, order)

    def _rest_or_ask(self, s: int, turns: _Turns, observed: Observed, order: Order) -> None:
        plant, now = self._plant, observed.at
        if order.repeats_until is not None and observed.settled:
            until = order.repeats_until
            turn = _NEVER if until == _NEVER else self._first_turn_from(turns.period, until)
            if turn > self._next_turn(turns.period, now):
                turns.repeating = True
                plant.tell_changes(s)
                self._ask_at(s, turns, turn)
                return
        if turns.resting_with_replicas:
            turns.resting_with_replicas = False
            plant.tell_arrivals(s)
        turns.resting = resting = order.rests and _is_steady(observed, order)
        if not resting:
            turn = self._next_turn(turns.period, now)
            self._ask_at(s, turns, turn if order.again_at is None else max(now + 1e-6, min(turn, order.again_at)))
            return
        if observed.replicas.ready:
            turns.resting_with_replicas = True
            plant.tell_arrivals(s, every=True)
        turns.due = _NEVER
        if order.again_at is not None and order.again_at < _NEVER:
            self._ask_at(s, turns, max(order.again_at, now + 1e-6))

    def _next_turn(self, period: float, now: float) -> float:
        """When who has this period is asked after now."""
        first = self._first_turn
        return first + (math.floor((now - first) / period + 1e-9) + 1) * period

    def _first_turn_from(self, period: float, at: float) -> float:
        """When it is asked first from then on."""
        first = self._first_turn
        return first + math.ceil((at - first) / period - 1e-9) * period

    def _ask_at(self, s: int, turns: _Turns, at: float) -> None:
        turns.due = at
        heapq.heappush(self._heap, (at, s))


def _is_steady(observed: Observed, order: Order) -> bool:
    """Nobody is there, nor has been since the last scrape, and there are as many replicas as are wanted."""
    replicas = observed.replicas
    nobody = observed.settled and not (observed.held or observed.in_flight or replicas.draining)
    return nobody and order.replicas == replicas.wanted == replicas.ready


def _check(scenario: Scenario, policies: Sequence[Policy]) -> None:
    if len(policies) != len(scenario.services):
        raise ScenarioError(f"there are {len(scenario.services)} services and {len(policies)} policies")
    for service, policy in zip(scenario.services, policies, strict=True):
        if not 0.0 < policy.period < _NEVER:
            raise ScenarioError(f"service {service.name}: a policy's period is positive, not {policy.period}")
