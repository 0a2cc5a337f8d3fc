"""The hold: who waits in the activator, until when, and of what the controller is told."""

from __future__ import annotations

from simulations.plant.codes import ALARM, HELD, INFINITE, NONE, TELLS_CHANGES
from simulations.plant.core.areas import push_at_once
from simulations.plant.core.events import push
from simulations.plant.records import State


def hold(p: State, i: int) -> None:
    """It waits in the activator, which tells the controller when nothing is ready (`activator.wake_calls`)."""
    request = p.requests[i]
    service = p.services[request.service]
    request.state = HELD
    request.behind = NONE
    if service.held == 0:
        service.first_held = i
        service.gap_since = request.sent_at
    else:
        p.requests[service.last_held].behind = i
    service.last_held = i
    service.held += 1
    service.arrived_here += 1
    if service.ready == 0:
        request.cold = 1
        announce(p, request.service, request.sent_at)


def announce(p: State, s: int, now: float) -> None:
    """With the first who waits for an endpoint, and each time that there are twice as many."""
    service = p.services[s]
    if service.held >= service.announce_at:
        service.announce_at = 2 * service.held
        push_at_once(p, s, now)
        if service.tells:
            p.world[0].told = s
            p.world[0].found_nobody = 1


def changed(p: State, s: int, now: float) -> None:
    """Something has happened to the service, so that what was told of it last may be true no longer."""
    service = p.services[s]
    service.changed_at = now
    if service.tells == TELLS_CHANGES:
        p.world[0].told = s


def unhold(p: State, s: int) -> int:
    """Take the first out of the hold."""
    service = p.services[s]
    i = service.first_held
    service.first_held = p.requests[i].behind
    service.held -= 1
    service.arrived_here -= 1
    if service.held == 0:
        service.last_held = NONE
        service.announce_at = 1
    return i


def held_until(p: State, s: int, i: int) -> float:
    """When a request may be held no longer (`activator.hold._deadline`)."""
    request, service = p.requests[i], p.services[s]
    first = service.hold_no_endpoint if service.hold_no_endpoint > 0.0 else INFINITE
    second = service.hold_full if service.hold_full > 0.0 else INFINITE
    budget = second if service.ready > 0 else first
    return min(max(request.sent_at, service.regime_since) + budget, request.sent_at + first + second)


def next_deadline(p: State, s: int) -> float:
    """When somebody has waited too long: a held request, or the client of the oldest."""
    service = p.services[s]
    at = INFINITE
    if service.held > 0:
        at = held_until(p, s, service.first_held)
    if service.timeout > 0.0 and service.oldest != NONE:
        at = min(at, p.requests[service.oldest].sent_at + service.timeout)
    return at


def set_alarm(p: State, s: int) -> None:
    """See to it that an event is there by the next deadline."""
    at = next_deadline(p, s)
    if at < p.services[s].alarm_at:
        p.services[s].alarm_at = at
        push(p, at, ALARM, s)


def regime_changed(p: State, s: int, now: float) -> None:
    """The first replica is ready, or the last one is so no longer: everybody's clock begins again."""
    service = p.services[s]
    service.regime_since = service.gap_since = now
    service.announce_at = 1
    if service.held > 0:
        if service.ready == 0:
            i = service.first_held
            while i != NONE:
                p.requests[i].cold = 1
                i = p.requests[i].behind
            announce(p, s, now)
        set_alarm(p, s)
