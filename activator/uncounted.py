"""Requests that are no work (`activator.probes`): answered here, or let through without a place and without waiting."""

from __future__ import annotations

from activator.endpoints import Endpoints
from activator.probes import Kind, answer_here
from activator.recorder import Recorder
from activator.upstreams import Upstreams
from queue_proxy.http import Exchange, Outcome


class _LookLease:
    """The lease of a look at the model, which occupies nothing."""

    __slots__ = ()

    def release(self, outcome: Outcome) -> None:
        """Nothing to give back."""


_LOOK_LEASE = _LookLease()


class Uncounted:
    """Those of one service."""

    def __init__(self, service: str, recorder: Recorder, endpoints: Endpoints, upstreams: Upstreams) -> None:
        self._service = service
        self._recorder = recorder
        self._endpoints = endpoints
        self._upstreams = upstreams

    def arrive(self, exchange: Exchange, kind: Kind, now: float) -> None:
        """Answer it, or forward it to whoever is ready."""
        exchange.context = None
        if kind is Kind.PROBE:
            self._recorder.probes += 1
            self.answer(exchange)
            return
        self._recorder.looks += 1
        load = self._endpoints.least_loaded()
        if load is None:
            self.answer(exchange)
        else:
            exchange.clock_from = now
            exchange.forward(self._upstreams.to(load), _LOOK_LEASE)

    def answer(self, exchange: Exchange) -> None:
        """Answer for the service."""
        exchange.answer(answer_here(exchange.head, self._service))
