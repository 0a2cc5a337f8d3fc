"""The dispatcher of one service: carries out what the hold and the endpoints decide.

It stands between the HTTP engine, which has requests, and two pure objects, which know who is next and where there is
room. Events come in (a request, a place given back, an endpoint ready, a new table) and each ends in `_pump`, which
hands out what can be handed out. Nothing here waits and nothing polls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from activator.bidding import Bidding
from activator.comments import WAIT_HEADER, WANTS_COMMENTS
from activator.endpoint_load import EndpointLoad, Standing
from activator.endpoints import Endpoints
from activator.hold import Hold
from activator.lines import Band
from activator.messages import Endpoint, Precedence, Route
from activator.precedence import place_of
from activator.probes import Kind, kind_of
from activator.recorder import Recorder
from activator.refusals import refusal_answer
from activator.surroundings import DEFAULT_BOUNDS, NOBODY_WAITS, Surroundings
from activator.tickets import Held, Refused, Regime, Released
from activator.timers import Alarm
from activator.uncounted import Uncounted
from activator.upstreams import Upstreams
from activator.visit import Visit
from activator.wake_calls import WakeCalls
from queue_proxy.http import Exchange, Outcome, Upstream, most_waiting_bytes
from queue_proxy.measurement import Measurement
from queue_proxy.messages import Stats
from queue_proxy.slot_messages import SLOT_HEADER

log = logging.getLogger(__name__)

_NO_PRECEDENCE = Precedence()
# A turn of the loop releases at most so many; without a capacity ten thousand may leave at once.
_RELEASES_PER_TURN = 256


class Dispatcher:
    """Decides when and where each request of one service goes; `queue_proxy.http.Dispatcher` is its contract."""

    def __init__(self, service: str, measurement: Measurement, recorder: Recorder, around: Surroundings) -> None:
        self.service = service
        self.measurement = measurement
        self.recorder = recorder
        self.endpoints = Endpoints()
        self._around = around
        self._clock = around.clock
        self.hold: Hold[Visit, EndpointLoad] = Hold(self.endpoints, DEFAULT_BOUNDS, around.clock(), around.budget)
        self._bidding = Bidding(self.endpoints, self.hold, around.timers, around.clock, around.dial, self._pump)
        self._precedence: Precedence | None = None
        self._upstreams = Upstreams(around.upstream)
        self._uncounted = Uncounted(service, recorder, self.endpoints, self._upstreams)
        self._wake_calls = WakeCalls(partial(around.wake, service))
        self._pumping = False
        self._pump_later: asyncio.Handle | None = None
        # For whatever comes first: a clock of the hold, or the end of a back-off.
        self._alarm = Alarm(around.timers, around.clock, self._time_is_up)
        self._ready_seen_at: float | None = None

    @property
    def waits_for(self) -> Regime:
        """What waiting requests wait for."""
        return self.hold.regime

    @property
    def idle(self) -> bool:
        """Nothing is held and nothing in flight."""
        return not len(self.hold) and self.measurement.running == 0

    # What the engine calls.

    def arrive(self, exchange: Exchange) -> None:
        """A request: forward it at once, hold it, refuse it, or answer it here if it is a probe."""
        kind = kind_of(exchange.head)
        if kind is not Kind.WORK:
            self._uncounted.arrive(exchange, kind, self._clock())
            return
        now = self._clock()
        self.measurement.arrive(now)
        visit = Visit(self, exchange, now)
        exchange.context = visit
        band, tenant = Band.NORMAL, b""
        if self._precedence is not None:
            band, tenant = place_of(exchange.head, self._precedence)
        effect = self.hold.arrive(now, visit, most_waiting_bytes(exchange.head, self._around.body_bytes), band, tenant)
        visit.ticket = effect.ticket
        match effect:
            case Released(place=load):
                self._forward(visit, load, now)
            case Held():
                while refused := self.hold.put_out():
                    self._end_to_wait(refused.ticket.waiter, now)
                    self._refuse(refused)
                self._begin_to_wait(visit, now)
            case Refused():
                self._refuse(effect)

    def abandoned(self, exchange: Exchange) -> None:
        """The client of a waiting request left."""
        visit = exchange.context
        if not isinstance(visit, Visit):
            return
        self.hold.leave(visit.ticket)
        visit.forget_ticket()
        self._end_to_wait(visit, self._clock())
        self.measurement.abandoned += 1

    def unreachable(self, exchange: Exchange, upstream: Upstream, why: str) -> None:
        """Not one byte reached that endpoint: the request goes to another, or waits again in its old order."""
        visit = exchange.context
        if not isinstance(visit, Visit):
            self._uncounted.answer(exchange)
            return
        now = self._clock()
        load, visit.load = visit.load, None
        if visit.token is not None:
            visit.token = None
            exchange.drop_lines(SLOT_HEADER)
        if load is not None and load.standing in (Standing.READY, Standing.TRIAL):
            log.warning("%s: %s: %s", self.service, load.endpoint.name, why)
            self.endpoints.unreachable(load, now)
        self.recorder.retries += 1
        visit.waiting_since = now
        self.hold.put_back(visit.ticket)
        self._begin_to_wait(visit, now)
        self._endpoints_changed()

    def ended(self, visit: Visit, outcome: Outcome) -> None:
        """A place was given back. The next in the hold gets it in the same event, unless nobody could be reached there:
        then `unreachable` follows at once and says so."""
        load = visit.load
        assert load is not None, "a visit that is not forwarded has no place to give back"
        now = self._clock()
        measurement = self.measurement
        measurement.finish(now)
        completed = outcome is Outcome.COMPLETED
        self.endpoints.release(load, reached=completed)
        if visit.token is not None and not completed:
            self._bidding.give_back(load, visit.token)
        if outcome is Outcome.UNSENT:
            return
        exchange = visit.exchange
        if exchange.answered_at is not None:
            self.recorder.first_byte.observe(exchange.answered_at - exchange.arrived_at)
        if completed:
            measurement.completed += 1
            measurement.service_seconds += now - visit.forwarded_at
            self.recorder.duration.observe(now - exchange.arrived_at)
        elif outcome is Outcome.ABANDONED:
            measurement.abandoned += 1
        else:
            measurement.failed += 1
        visit.forget_ticket()
        self._pump()

    # What the process around it calls.

    def route(self, route: Route) -> None:
        """Follow a new table."""
        self.hold.rule(route.hold, route.expected_wake_seconds)
        self._precedence = None if route.precedence == _NO_PRECEDENCE else route.precedence
        self._follow(route.endpoints, route.endpoint_capacity)

    def forget_endpoints(self) -> None:
        """The table does not list this service (any more)."""
        self._follow((), 0)

    def proven(self, load: EndpointLoad) -> None:
        """The endpoint's queue proxy has answered that the model is ready."""
        now = self._clock()
        served = self.endpoints.any_ready
        self.endpoints.proven(load, now)
        self._notice_readiness(served, now)
        self._endpoints_changed()

    def dismiss(self) -> None:
        """Refuse everybody who waits, and hold nobody any more: this activator, or this service, ends."""
        self.hold.rule(NOBODY_WAITS, None)
        now = self._clock()
        while refused := self.hold.dismiss(now):
            self._end_to_wait(refused.ticket.waiter, now)
            self._refuse(refused)

    def close(self) -> None:
        """Nothing comes any more."""
        self.dismiss()
        self._bidding.close()
        self._upstreams.close()
        self._alarm.cancel()
        if self._pump_later is not None:
            self._pump_later.cancel()

    def stats(self, seconds: int = 0) -> Stats:
        """What the controller is told, with that many seconds of history."""
        return self.measurement.stats(self._clock(), held_bytes=self.hold.bytes, seconds=seconds)

    # Inside.

    def _follow(self, endpoints: Sequence[Endpoint], capacity: int) -> None:
        served = self.endpoints.any_ready
        change = self.endpoints.update(endpoints, capacity)
        self._upstreams.end_idle(change.removed)
        self._notice_readiness(served, self._clock())
        self._bidding.follow(self.endpoints.all(), capacity)
        self._endpoints_changed()

    def _begin_to_wait(self, visit: Visit, now: float) -> None:
        self.measurement.enqueue(now)
        if visit.exchange.head.value(WAIT_HEADER) == WANTS_COMMENTS:
            self._around.comments.add(visit)
        self._bidding.changed()
        self._call_for_wake()
        self._set_alarm()

    def _end_to_wait(self, visit: Visit, now: float) -> None:
        self.measurement.dequeue(now)
        self._around.comments.discard(visit)
        self._bidding.changed()
        if not len(self.hold):
            self._wake_calls.begin_again()

    def _call_for_wake(self) -> None:
        if self.hold.regime is Regime.NO_ENDPOINT and len(self.hold):
            self._wake_calls.waiting(len(self.hold))

    def _notice_readiness(self, served: bool, now: float) -> None:
        """Somebody waited for nothing but this: from here every microsecond until the first release is ours."""
        if self.endpoints.any_ready and not served and len(self.hold):
            self._ready_seen_at = now

    def _endpoints_changed(self) -> None:
        if self.hold.observe(self._clock()):
            self._wake_calls.begin_again()
            self._call_for_wake()
        self._around.unproven(self.service)
        self._bidding.return_unwanted()
        self._bidding.changed()
        self._set_alarm()
        self._pump()

    def _pump_soon(self) -> None:
        if self._pump_later is None:
            self._pump_later = self._around.timers.call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pump_later = None
        self._pump()

    def _pump(self) -> None:
        """Hand out what can be handed out. What ends inside of it (an exchange may end while it is forwarded) finds
        it running and leaves the rest to it."""
        if self._pumping or not len(self.hold):
            return
        self._pumping = True
        try:
            now = self._clock()
            for _ in range(_RELEASES_PER_TURN):
                released = self.hold.release(now)
                if released is None:
                    return
                visit = released.ticket.waiter
                self._end_to_wait(visit, now)
                self.recorder.hold_wait.observe(now - visit.waiting_since)
                self._forward(visit, released.place, now)
            self._pump_soon()
        finally:
            self._pumping = False

    def _forward(self, visit: Visit, load: EndpointLoad, now: float) -> None:
        if self._ready_seen_at is not None:
            self.recorder.wake_overhead.observe(now - self._ready_seen_at)
            self._ready_seen_at = None
        visit.load = load
        if load.shared and (token := self.endpoints.token(load)) is not None:
            visit.token = token
            visit.exchange.add_line(SLOT_HEADER, token)
        visit.forwarded_at = now
        self.measurement.start(now)
        self.recorder.forwarded[load.standing] += 1
        visit.exchange.clock_from = now
        visit.exchange.forward(self._upstreams.to(load), visit)

    def _refuse(self, refused: Refused[Visit]) -> None:
        self.measurement.refused += 1
        self.recorder.refused[refused.cause, refused.regime] += 1
        visit = refused.ticket.waiter
        visit.forget_ticket()
        visit.exchange.answer(refusal_answer(refused, self.service))

    def _set_alarm(self) -> None:
        self._alarm.set(self.hold.next_deadline())
        self._alarm.set(self.endpoints.next_retry())

    def _time_is_up(self) -> None:
        now = self._clock()
        while refused := self.hold.expire(now):
            self._end_to_wait(refused.ticket.waiter, now)
            self._refuse(refused)
        self.endpoints.retry(now)
        self._endpoints_changed()
