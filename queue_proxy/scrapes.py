"""Scrapes on their way to the model: they pass the line and take no slot, and so must stay few."""

from __future__ import annotations

from queue_proxy.http import Exchange, Outcome, Upstream, error_answer

SCRAPES_AT_ONCE = 8
"""Scrapes that may be at the model at a time. Anybody can look like a scrape from outside, so what passes without a
slot must stay little; a Prometheus pair, a kubelet and a gateway's health check together ask for half as much."""


class Scrapes:
    """The Lease of all of them."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running = 0

    def forward(self, exchange: Exchange, upstream: Upstream) -> None:
        """Send one to the model, or refuse it."""
        if self._running >= SCRAPES_AT_ONCE:
            exchange.answer(error_answer(503, f"{SCRAPES_AT_ONCE} scrapes are at the model already", retry_after=1))
            return
        self._running += 1
        exchange.forward(upstream, self)

    def release(self, outcome: Outcome) -> None:
        """One of them is done."""
        self._running -= 1
