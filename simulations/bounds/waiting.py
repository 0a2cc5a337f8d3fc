"""The cheapest plan when requests may wait up to a bound, or be dropped at a price: a lower bound by linear programs.

Work is the time that requests would be in service if each were served at once, spread over the bins in which that time
lies. Each piece of it may be done up to W seconds later. That is a relaxation of starting every request within W: a
request that starts τ late has each of its pieces done τ late. Replicas may be fractions, so the result is a bound.

With one W for all requests of a service, it is enough to look at running sums. With S_t what has been done up to the
end of bin t and A_t what has come, less what was dropped,

    minimise    Σ_t w·n_t + L·Σ_t u_t + q·(requests dropped)
    such that   A_{t−W} ≤ S_t ≤ A_t,   S_t − S_{t−1} ≤ w·slots·n_t,   u_t ≥ n_t − n_{t−1},   all ≥ 0

which has four variables for each bin and not one for each bin and delay. With several services on G GPUs,
Σ (n_t + replicas starting at t) ≤ G in each bin couples them; what starts holds its GPU for L seconds before it serves.

Long traces are solved in windows. Cutting must not raise the bound: work that may be done on either side of a cut is
left out of both, and what is on at a cut costs no start. So longer windows give better bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from simulations.traces.trace import Floats


class BoundError(Exception):
    """A bound cannot be computed: says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Work:
    """One service's requests, by bins of one width.

    busy        seconds of service that lie in each bin, all requests together, if none waits
    requests    how many requests that is, in the same bins: each is spread as its seconds are
    instant     requests without any work, which are always served
    slots       requests that a replica serves at a time
    start_seconds  L
    wait_seconds   W: how late a request may be started
    gpus        of a replica
    """

    name: str
    busy: Floats
    requests: Floats
    slots: int = 1
    start_seconds: float = 60.0
    wait_seconds: float = 0.0
    gpus: int = 1
    instant: int = 0


@dataclass(frozen=True, slots=True)
class WaitingBound:
    """The optimum: GPU-seconds, and how much was not served in time.

    gpu_seconds  on and starting, without the price of what was dropped
    dropped      requests that the plan gave up
    offered      all of them
    """

    gpu_seconds: float
    dropped: float
    offered: float

    @property
    def attainment(self) -> float:
        """Share of requests that were served in time."""
        return max(0.0, 1.0 - self.dropped / self.offered) if self.offered else 1.0


def work_of_requests(
    name: str,
    arrival: Floats,
    seconds: Floats,
    width: float,
    span: float,
    *,
    slots: int = 1,
    start_seconds: float = 60.0,
    wait_seconds: float = 0.0,
) -> Work:
    """Spread requests over bins of `width` seconds; a replica has one GPU."""
    bins = math.ceil(max(span, float((arrival + seconds).max(initial=0.0))) / width) + 1
    busy = cover(arrival, seconds, width, bins, np.ones(len(arrival)))
    known = seconds > 0
    # Of a request, each second of its service stands for the same part of it.
    requests = cover(arrival[known], seconds[known], width, bins, 1.0 / seconds[known])
    return Work(name, busy, requests, slots, start_seconds, wait_seconds, 1, int((~known).sum()))


def cover(arrival: Floats, seconds: Floats, width: float, bins: int, weight: Floats) -> Floats:
    """Σ weight × (part of [arrival, arrival + seconds) that lies in each bin)."""
    end = arrival + seconds
    first, last = (arrival / width).astype(np.int64), (end / width).astype(np.int64)
    # As if each lasted to the end of its last bin, then what lies before its beginning and after its end is taken off.
    whole = np.cumsum(np.bincount(first, weight, bins + 1) - np.bincount(last + 1, weight, bins + 2)[: bins + 1])[:bins]
    before = np.bincount(first, weight * (arrival - first * width), bins)
    after = np.bincount(last, weight * ((last + 1) * width - end), bins)
    covered: Floats = whole * width - before - after
    return np.where(covered > 1e-9 * width, covered, 0.0)


def waiting_bound(
    works: Sequence[Work],
    width: float,
    *,
    gpus: float = math.inf,
    drop_price: float = math.inf,
    window_seconds: float = 7200.0,
) -> WaitingBound:
    """The bound for these services on `gpus` GPUs, in windows of `window_seconds`.

    `drop_price` is in GPU-seconds for each request that is dropped; inf: none may be. Raises BoundError when nothing
    may be dropped and the GPUs do not suffice.
    """
    if not works:
        raise BoundError("a bound needs at least one service")
    bins = max(len(work.busy) + _delay(work, width) for work in works)
    offered = math.fsum(float(work.requests.sum()) + work.instant for work in works)
    step = max(1, round(window_seconds / width))
    seconds, dropped = 0.0, 0.0
    for begin in range(0, bins, step):
        program = _Program(works, width, begin, min(begin + step, bins), gpus, drop_price)
        if program.idle:
            continue
        cost, lost = program.solve()
        seconds += cost
        dropped += lost
    return WaitingBound(max(0.0, seconds), dropped, offered)


def frontier(
    works: Sequence[Work],
    width: float,
    prices: Sequence[float],
    *,
    gpus: float = math.inf,
    window_seconds: float = 7200.0,
) -> tuple[WaitingBound, ...]:
    """Bounds by the price of a dropped request, on their lower convex hull: no policy lies below these lines."""
    found = [
        waiting_bound(works, width, gpus=gpus, drop_price=price, window_seconds=window_seconds) for price in prices
    ]
    hull: list[WaitingBound] = []
    for bound in sorted(found, key=lambda bound: (bound.attainment, bound.gpu_seconds)):
        while len(hull) >= 2 and _above(hull[-2], hull[-1], bound):
            hull.pop()
        if not hull or bound.attainment > hull[-1].attainment + 1e-12:
            hull.append(bound)
    return tuple(hull)


def _above(left: WaitingBound, middle: WaitingBound, right: WaitingBound) -> bool:
    """Whether `middle` lies on or above the line from `left` to `right`."""
    run = right.attainment - left.attainment
    rise = (right.gpu_seconds - left.gpu_seconds) * (middle.attainment - left.attainment)
    return (middle.gpu_seconds - left.gpu_seconds) * run >= rise


class _Program:
    """One window's linear program. Variables of each service and bin: S, n, u, and Z if work may be dropped."""

    def __init__(
        self, works: Sequence[Work], width: float, begin: int, end: int, gpus: float, drop_price: float
    ) -> None:
        self._width, self._gpus, self._price = width, gpus, drop_price
        self._bins, self._first, self._works = end - begin, begin == 0, works
        self._drops = not math.isinf(drop_price)
        self._kinds = 4 if self._drops else 3
        cuts = [_delay(work, width) if end < len(work.busy) else 0 for work in works]
        self._busy = [_window(work.busy, begin, end, cut) for work, cut in zip(works, cuts, strict=True)]
        self._requests = [_window(work.requests, begin, end, cut) for work, cut in zip(works, cuts, strict=True)]
        self._rows: list[sparse.csr_matrix] = []
        self._limits: list[Floats] = []

    @property
    def idle(self) -> bool:
        """There is nothing to do in this window."""
        return not any(bool(busy.any()) for busy in self._busy)

    def solve(self) -> tuple[float, float]:
        """GPU-seconds, and requests dropped. Raises BoundError."""
        bins, objective, gave_up = self._bins, [], []
        for at, work in enumerate(self._works):
            self._constrain(at, work)
            # Z is a running sum, so the price of what is dropped in a bin counts up there and down in the next one.
            busy = self._busy[at]
            each = np.divide(self._requests[at], busy, out=np.zeros_like(busy), where=busy > 0)
            counted = each - np.append(each[1:], 0.0)
            gave_up.append(np.concatenate((np.zeros(3 * bins), counted)) if self._drops else np.zeros(3 * bins))
            paid = (
                np.zeros(bins),
                np.full(bins, work.gpus * self._width),
                np.full(bins, work.gpus * work.start_seconds),
            )
            objective.append(np.concatenate((*paid, self._price * counted) if self._drops else paid))
        self._share()
        found = linprog(
            np.concatenate(objective),
            A_ub=sparse.vstack(self._rows, format="csr"),
            b_ub=np.concatenate(self._limits),
            bounds=(0, None),
            method="highs",
        )
        if found.status != 0:
            raise BoundError(f"no plan serves this load: {found.message} (more GPUs, or a price for dropped requests)")
        dropped = max(0.0, float(found.x @ np.concatenate(gave_up)))
        return float(found.fun) - (self._price * dropped if self._drops else 0.0), dropped

    def _constrain(self, at: int, work: Work) -> None:
        bins, delay = self._bins, _delay(work, self._width)
        busy = self._busy[at]
        come = np.cumsum(busy)
        one, before, due = _shift(bins, 0), _shift(bins, 1), _shift(bins, delay)
        late = np.concatenate((np.zeros(min(delay, bins)), come[: max(0, bins - delay)]))
        self._add(at, come, s=one, z=one)  # what is done has come, and was not dropped
        self._add(at, -late, s=-one, z=-due)  # what is due is done
        self._add(at, np.zeros(bins), s=one - before, n=-work.slots * self._width * one)
        rise = one - before
        if not self._first:  # what is on at the beginning of a later window costs no start
            rise = sparse.diags([np.append(0.0, np.ones(bins - 1))], [0], format="csr") @ rise
        self._add(at, np.zeros(bins), n=rise, u=-one)
        if self._drops:
            self._add(at, busy, z=one - before)
            self._add(at, np.zeros(bins), z=before - one)

    def _add(self, at: int, limit: Floats, **blocks: sparse.csr_matrix) -> None:
        bins = self._bins
        empty = sparse.csr_matrix((bins, bins))
        own = [blocks.get(name, empty) for name in ("s", "n", "u", "z")[: self._kinds]]
        left, right = self._kinds * bins * at, self._kinds * bins * (len(self._works) - at - 1)
        parts = [sparse.csr_matrix((bins, left)), *own, sparse.csr_matrix((bins, right))]
        self._rows.append(sparse.hstack(parts, format="csr"))
        self._limits.append(limit)

    def _share(self) -> None:
        """On and starting replicas of all services fit on the GPUs."""
        if math.isinf(self._gpus):
            return
        bins, row = self._bins, []
        for work in self._works:
            ahead = min(math.floor(work.start_seconds / self._width + 1e-9), bins - 1)
            starting = sparse.csr_matrix((bins, bins))
            for k in range(1, ahead + 1):
                starting = starting + sparse.eye(bins, k=k, format="csr")
            empty = sparse.csr_matrix((bins, bins))
            row += [empty, work.gpus * _shift(bins, 0), work.gpus * starting, empty][: self._kinds]
        self._rows.append(sparse.hstack(row, format="csr"))
        self._limits.append(np.full(bins, self._gpus))


def _shift(bins: int, by: int) -> sparse.csr_matrix:
    """Row t takes column t − by."""
    return sparse.eye(bins, k=-by, format="csr") if by < bins else sparse.csr_matrix((bins, bins))


def _delay(work: Work, width: float) -> int:
    return math.ceil(work.wait_seconds / width - 1e-9)


def _window(values: Floats, begin: int, end: int, cut: int) -> Floats:
    kept = np.zeros(end - begin)
    own = values[begin:end]
    kept[: len(own)] = own
    if cut:
        kept[max(0, len(kept) - cut) :] = 0.0
    return kept
