"""ServeGen: rates and shapes of many clients of one model, from which requests are made.

The files say, for each client and ten minutes, the mean rate and how much gaps vary (gamma or Weibull). Requests are
made as ServeGen means them: a renewal process for each client, of that rate and variation, all clients together. They
can be had as published, a directory of chunk-N-trace.csv and chunk-N-dataset.json, or as one table of rates and one of
token quantiles. Published rates are of a whole provider: `load` scales them to what is to be simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulations.traces.counts import check_fullest
from simulations.traces.randomness import stream
from simulations.traces.renewal import Gaps, renewals
from simulations.traces.trace import (
    MOST_TOKENS,
    NOT_RECORDED,
    Floats,
    Ints,
    Requests,
    concatenated,
    cut,
    digest_of,
    in_order,
    rechunked,
    requests,
)


@dataclass(frozen=True, slots=True)
class ClientRates:
    """Rates of all clients: one entry for a client and a bin in which it sent something; sorted by bin.

    begin  seconds since the trace began; rate in requests per second; cv of the gaps
    """

    begin: Floats
    client: Ints
    rate: Floats
    cv: Floats
    weibull: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token lengths of one client from `begin` on: quantiles `values` at probabilities `at`."""

    begin: float
    at: Floats
    values: Floats

    def draw(self, uniform: Floats) -> Ints:
        """Lengths, linear between quantiles, at least 1."""
        drawn = np.interp(uniform, self.at, self.values)
        return np.clip(np.rint(drawn), 1, MOST_TOKENS).astype(np.int32)


@dataclass(frozen=True, slots=True)
class TokenLengths:
    """Windows of each client, in time order, input and output apart. A client without any gets another's."""

    inputs: dict[int, tuple[Lengths, ...]]
    outputs: dict[int, tuple[Lengths, ...]]

    def at(self, client: int, begin: float) -> tuple[Lengths | None, Lengths | None]:
        """What holds for a client in the bin that begins at `begin`."""
        return _in_force(self.inputs, client, begin), _in_force(self.outputs, client, begin)


@dataclass(frozen=True, slots=True)
class RatesTrace:
    """Requests made from rates; see Trace. All clients use one service, the model."""

    name: str
    services: tuple[str, ...]
    rates: ClientRates
    width: float
    bins: int
    lengths: TokenLengths
    seed: int
    origin: str
    load: float = 1.0

    @property
    def span(self) -> float:
        """See Trace."""
        return self.bins * self.width

    @property
    def digest(self) -> str:
        """See Trace."""
        return digest_of({"rates": self.origin, "seed": self.seed, "load": self.load, "version": 1})

    def scaled(self, factor: float) -> RatesTrace:
        """With rates multiplied by `factor`; gaps vary as they did."""
        return replace(self, load=self.load * factor)

    def chunks(self) -> Iterator[Requests]:
        """See Trace. Raises TraceError where a bin has too many requests to make it in memory."""
        fullest = np.bincount((self.rates.begin // self.width).astype(np.int64), self.rates.rate).max()
        check_fullest(self.name, float(fullest) * self.width * self.load, self.width)
        return rechunked(self._bins())

    def _bins(self) -> Iterator[Requests]:
        """One bin of all clients after the other, each from random numbers of its own."""
        edges = np.flatnonzero(np.diff(self.rates.begin, prepend=-1.0)).tolist()
        for begin, end in zip(edges, [*edges[1:], len(self.rates.begin)], strict=True):
            parts = [part for entry in range(begin, end) if len(part := self._client(entry))]
            if parts:
                yield from cut(in_order(concatenated(parts)))

    def _client(self, entry: int) -> Requests:
        rates = self.rates
        begin, client = float(rates.begin[entry]), int(rates.client[entry])
        rate = float(rates.rate[entry]) * self.load
        if rate <= 0:
            return requests(np.empty(0))
        random = stream(self.seed, f"client {client}", round(begin / self.width))
        family = Gaps.WEIBULL if rates.weibull[entry] else Gaps.GAMMA
        at = begin + renewals(random, rate * self.width, float(rates.cv[entry]), family) / rate
        inputs, outputs = self.lengths.at(client, begin)
        return requests(
            np.minimum(at, np.nextafter(begin + self.width, 0.0)),
            input_tokens=_drawn(inputs, random, len(at)),
            output_tokens=_drawn(outputs, random, len(at)),
        )


def _drawn(lengths: Lengths | None, random: np.random.Generator, count: int) -> Ints:
    if lengths is None:
        return np.full(count, NOT_RECORDED, np.int32)
    return lengths.draw(random.random(count))


def _in_force(windows: dict[int, tuple[Lengths, ...]], client: int, begin: float) -> Lengths | None:
    if not windows:
        return None
    own = windows.get(client)
    if own is None:  # some clients have no lengths: each takes the same other one's, always
        known = sorted(windows)
        own = windows[known[client % len(known)]]
    earlier = [lengths for lengths in own if lengths.begin <= begin]
    return earlier[-1] if earlier else own[0]
