"""The queue proxy's Dispatcher: from the limiter's decisions to what happens with a request.

Every request that is work takes a ticket. With a slot it is forwarded to the one upstream, the model; without
one it waits in line; when the line is full or it has waited for too long it is refused with a Retry-After that
comes from measured service times. Until the model is ready for the first time nobody is let in: requests wait.

One object, the Admission, owns a slot from the moment it is taken until it is given back, also while a
connection that was refused is tried again. So there is one place that gives slots back, and counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from queue_proxy.histogram import DURATION_BOUNDS, Histogram
from queue_proxy.http import (
    Answer,
    Exchange,
    HttpLimits,
    Outcome,
    Upstream,
    error_answer,
    most_body_bytes,
    most_waiting_bytes,
)
from queue_proxy.limiter import Limiter, QueueBounds
from queue_proxy.measurement import Measurement
from queue_proxy.messages import EngineStats, Stats
from queue_proxy.probe_requests import Purpose, purpose
from queue_proxy.readiness import Readiness
from queue_proxy.refusals import Refusal, Refusals
from queue_proxy.scrapes import Scrapes
from queue_proxy.shared_slots import ActivatorConnection, SharedSlots
from queue_proxy.slot_messages import SLOT_HEADER
from queue_proxy.tickets import Ticket, TicketState
from queue_proxy.tries import Tries

# Every request passes these; a name of the module costs less than an attribute of the enum.
_WORK = Purpose.WORK
_RUNNING = TicketState.RUNNING
_COMPLETED, _UNSENT = Outcome.COMPLETED, Outcome.UNSENT
_DEFAULT_LIMITS = HttpLimits()


@dataclass(slots=True)
class Durations:
    """Histograms of seconds: waiting in line, from arrival to the answer's head, and from forwarding to the end."""

    queue: Histogram
    first_byte: Histogram
    service: Histogram


class Admission(Ticket):
    """One request that is work, from arrival to its end: its place in line, the owner of its slot, and the exchange's
    Lease."""

    __slots__ = ("dispatcher", "exchange", "forwarded_at", "owner", "retry", "tries")

    def __init__(self, dispatcher: QueueDispatcher, exchange: Exchange) -> None:
        """Yet to arrive at the limiter."""
        self.dispatcher = dispatcher
        self.exchange = exchange
        self.forwarded_at = 0.0
        self.owner: ActivatorConnection | None = None
        self.tries = 0
        self.retry: asyncio.TimerHandle | None = None

    def most_bytes(self) -> int:
        """What it can take while it waits in line."""
        return most_waiting_bytes(self.exchange.head, self.dispatcher.body_bytes)

    def release(self, outcome: Outcome) -> None:
        """Called by the exchange when it is done with the upstream. After UNSENT `unreachable` follows, and the slot
        is kept for another try."""
        if outcome is not _UNSENT:
            self.dispatcher.end(self, outcome)


class QueueDispatcher:
    """Implements `queue_proxy.http.Dispatcher` for one model."""

    def __init__(
        self,
        upstream: Upstream,
        limit: int | None,
        bounds: QueueBounds,
        readiness: Readiness,
        measurement: Measurement,
        clock: Callable[[], float],
        limits: HttpLimits = _DEFAULT_LIMITS,
    ) -> None:
        """Begins closed; opens when `readiness` first says so. `limits` are the engine's."""
        self.body_bytes = most_body_bytes(limits)
        self.upstream = upstream
        self.limiter: Limiter[Admission] = Limiter(0, bounds)
        self.slots: SharedSlots[Admission] = SharedSlots(self.limiter, clock, self._admitted)
        self.readiness = readiness
        self.measurement = measurement
        self.refusals = Refusals(self.limiter, limit, measurement, lambda: readiness.why_not)
        self.durations = Durations(*(Histogram(DURATION_BOUNDS) for _ in range(3)))
        self.draining = False
        self._scrapes = Scrapes()
        self._tries: Tries[Admission] = Tries(readiness, self._send, self._give_up)
        self._limit = limit
        self._clock = clock
        self._expiry: asyncio.TimerHandle | None = None
        readiness.subscribe(self._readiness_changed)

    # What the engine reports.

    def arrive(self, exchange: Exchange) -> None:
        """Let it in, have it wait, or refuse it."""
        what = purpose(exchange.head)
        if what is not _WORK:
            self._aside(exchange, what)
            return
        now = exchange.arrived_at
        self.measurement.arrive(now)
        admission = Admission(self, exchange)
        exchange.context = admission
        if self.slots.shared:
            token = exchange.head.value(SLOT_HEADER)
            state, admission.owner = self.slots.arrive(admission, token, now)
        else:
            state = self.limiter.arrive(admission, now)
        if state is _RUNNING:
            self._forward(admission, now)
        elif state is TicketState.WAITING:
            self.measurement.enqueue(now)
            self._expect_expiry()
        else:
            why = Refusal.QUEUE_FULL if self.measurement.ready_at is not None else Refusal.NOT_READY
            exchange.answer(self.refusals.answer(why))

    def abandoned(self, exchange: Exchange) -> None:
        """The client left while its request waited: in line, or for another try to connect."""
        admission = exchange.context
        if not isinstance(admission, Admission):
            return  # a probe or a scrape: nothing is kept for those
        if admission.state is TicketState.RUNNING:
            self._tries.forget(admission)
            self.end(admission, Outcome.ABANDONED)
            return
        self.limiter.leave(admission)
        self.measurement.dequeue(self._clock())
        self.measurement.abandoned += 1

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        """Nobody took the connection and nothing was sent, so trying again is safe."""
        self.readiness.doubt()
        admission = exchange.context
        if not isinstance(admission, Admission):
            exchange.answer(error_answer(503, f"the model cannot be reached: {why}"))
            return
        # An activator has other replicas to send it to; of one alone nobody can tell whether a request came from it.
        direct = self.slots.came_directly(exchange.head.value(SLOT_HEADER), self._clock())
        self._tries.refused(admission, why, outlasts_restart=direct and not self.draining)

    def _give_up(self, admission: Admission, why: str) -> None:
        exchange = admission.exchange
        self.end(admission, Outcome.FAILED)
        if self.readiness.ready:
            exchange.answer(error_answer(502, f"the model cannot be reached: {why}", delivered=False))
        else:
            why = f"the model is not ready: {why}"
            exchange.answer(error_answer(503, why, retry_after=self.refusals.retry_after(), delivered=False))

    # What others need.

    @property
    def limit(self) -> int:
        """Requests that may run at once once the gate is open; 0: no limit."""
        return self._limit or 0

    def stats(self, seconds: int = 0, engine: EngineStats | None = None) -> Stats:
        """The reading now, with the last `seconds` of history."""
        held = sum(admission.exchange.buffered for admission in self.limiter.line())
        return self.measurement.stats(self._clock(), held_bytes=held, engine=engine, seconds=seconds)

    def end(self, admission: Admission, outcome: Outcome) -> None:
        """Count how it ended, give its slot back, and forward whom that lets in."""
        now = self._clock()
        measurement = self.measurement
        measurement.finish(now)
        answered_at = admission.exchange.answered_at
        if answered_at is not None:
            self.durations.first_byte.observe(answered_at - admission.arrived_at)
        if outcome is _COMPLETED:
            seconds = now - admission.forwarded_at
            measurement.completed += 1
            measurement.service_seconds += seconds
            self.durations.service.observe(seconds)
        elif outcome is Outcome.FAILED:
            measurement.failed += 1
        else:
            measurement.abandoned += 1
        if self.slots.shared:
            self.limiter.retire(admission)
            self.slots.ended(admission.owner, now)
            return
        for admitted in self.limiter.release(admission):
            self._admitted(admitted, now)

    def send_away(self) -> None:
        """Answer everybody in line: this replica ends before it is their turn, and no model has seen a byte of them."""
        now = self._clock()
        for admission in self.limiter.line():
            self.limiter.leave(admission)
            self.measurement.dequeue(now)
            admission.exchange.answer(self.refusals.answer(Refusal.ENDING))

    # The rest is how.

    def _aside(self, exchange: Exchange, what: Purpose) -> None:
        """Answer a probe; let a scrape pass without a slot."""
        ready = self.readiness.ready and not self.draining
        if what is Purpose.SCRAPE and self.readiness.ready:
            self._scrapes.forward(exchange, self.upstream)
        elif ready:
            exchange.answer(Answer(200, ((b"content-type", b"text/plain"),), b"ready\n"))
        else:
            why = "this replica drains" if self.draining else f"the model is not ready: {self.readiness.why_not}"
            exchange.answer(error_answer(503, why))

    def _forward(self, admission: Admission, now: float) -> None:
        self.measurement.start(now)
        self.durations.queue.observe(now - admission.arrived_at)
        admission.forwarded_at = now
        # Time in line has a bound of its own; the model's time starts now.
        admission.exchange.clock_from = now
        admission.exchange.forward(self.upstream, admission)

    def _admitted(self, admission: Admission, now: float) -> None:
        self.measurement.dequeue(now)
        self._forward(admission, now)

    def _send(self, admission: Admission) -> None:
        admission.exchange.forward(self.upstream, admission)

    def _readiness_changed(self, ready: bool) -> None:
        """The first time, open the gate. Later changes are for who routes, and for who waits for a restart: a model
        that fails its probe because it is busy must still get the requests that were sent here."""
        if ready:
            self._tries.restarted()
        if not ready or self.measurement.ready_at is not None:
            return
        now = self._clock()
        self.measurement.ready_at = now
        for admission in self.limiter.resize(self._limit):
            self._admitted(admission, now)
        self.slots.settle()

    def _expect_expiry(self) -> None:
        """One timer for the whole line: those who came first expire first."""
        due = self.limiter.next_expiry()
        if due is not None and self._expiry is None:
            delay = max(due - self._clock(), 0.001)
            self._expiry = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = self._clock()
        why = Refusal.WAITED_TOO_LONG if self.measurement.ready_at is not None else Refusal.NOT_READY
        for admission in self.limiter.expire(now):
            self.measurement.dequeue(now)
            admission.exchange.answer(self.refusals.answer(why))
        self._expect_expiry()
