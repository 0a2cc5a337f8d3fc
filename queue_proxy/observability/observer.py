"""RequestObserver: what the engine tells of the exchanges of one service, turned into records for log and spans."""

from __future__ import annotations

from collections.abc import Callable

from queue_proxy.http.contract import Observed
from queue_proxy.observability.batches import Batches
from queue_proxy.observability.record import RequestOutcome, RequestRecord, record_of
from queue_proxy.observability.trace_context import Samples, Trace, begin, read_caller, tell_next
from queue_proxy.probe_requests import Purpose, purpose


class RequestObserver:
    """Implements `queue_proxy.http.contract.Observer`.

    service, replica  as they appear in records; replica empty: whichever the request went to
    unsent            what a request counts as that was answered after nobody could be reached
    log               takes all records, None: no log
    probes            whether it takes those of probes and scrapes, too
    spans             takes records of sampled requests, None: no spans
    samples           decides which those are
    """

    def __init__(
        self,
        service: str,
        replica: str,
        unsent: RequestOutcome,
        clock: Callable[[], float],
        *,
        log: Batches[RequestRecord] | None = None,
        probes: bool = False,
        spans: Batches[RequestRecord] | None = None,
        samples: Samples | None = None,
    ) -> None:
        self._service = service
        self._replica = replica
        self._unsent = unsent
        self._clock = clock
        self._log = log
        self._probes = probes
        self._spans = spans
        self._samples = samples

    def forwarding(self, exchange: Observed) -> None:
        """Its head is about to be sent; perhaps not for the first time."""
        if self._samples is None or exchange.trace is not None or purpose(exchange.head) is not Purpose.WORK:
            return
        trace = begin(exchange.head, self._samples)
        # Empty for a request that is neither recorded nor part of a trace: that too is decided once.
        exchange.trace = _NO_TRACE if trace is None else trace
        if trace is not None and trace.span_id:
            tell_next(exchange, trace)

    def ended(self, exchange: Observed) -> None:
        """It has ended, and its client has what it will get."""
        work = purpose(exchange.head) is Purpose.WORK
        if not work and not self._probes:
            return
        trace = self._trace_of(exchange, work)
        recorded = self._spans is not None and trace is not None and bool(trace.span_id)
        if self._log is None and not recorded:
            return
        record = record_of(exchange, self._service, self._replica, self._unsent, self._clock(), trace)
        if self._log is not None:
            self._log.add(record)
        if self._spans is not None and recorded:
            self._spans.add(record)

    def _trace_of(self, exchange: Observed, work: bool) -> Trace | None:
        trace = exchange.trace
        if isinstance(trace, Trace):
            return None if trace is _NO_TRACE else trace
        if self._samples is not None and work:
            return begin(exchange.head, self._samples)
        caller = read_caller(exchange.head)
        return None if caller is None else Trace(caller.trace_id, caller.span_id, "", "")


_NO_TRACE = Trace("", "", "", "")
