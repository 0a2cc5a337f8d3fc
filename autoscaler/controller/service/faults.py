"""What is wrong with one service now, and how often what went wrong.

A fault of one service is never more than that: it is kept here, shown in `/services` and `/explain`, counted in a
metric, and logged once when it appears or changes, not every two seconds.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType

from autoscaler.controller.clock import Clock

_log = logging.getLogger(__name__)

_LONGEST_MESSAGE = 2_000


class FaultKind(Enum):
    """Which step went wrong.

    POLICY and SCRAPE are what somebody else got wrong, ORDER is what the cluster did not take and PATH the same for
    where the activator shall be; EVALUATION, VIEW,
    NUMBERS (of a source) and RECORDING are faults of ours in dealing with one service, and then disturb only that.
    """

    POLICY = "policy"
    EVALUATION = "evaluation"
    ORDER = "order"
    PATH = "path"
    VIEW = "view"
    NUMBERS = "numbers"
    RECORDING = "recording"
    SCRAPE = "scrape"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `subject` is the replica of a scrape, empty otherwise; times are seconds since 1970."""

    kind: FaultKind
    subject: str
    message: str
    since: float
    last: float
    times: int


class Faults:
    """Faults of one service."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._current: dict[tuple[FaultKind, str], Fault] = {}
        self.counts: Counter[FaultKind] = Counter()

    def add(self, kind: FaultKind, message: str, now: float, subject: str = "") -> None:
        """It went wrong (again)."""
        message = message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
        self.counts[kind] += 1
        before = self._current.get((kind, subject))
        if before is None:
            fault = Fault(kind, subject, message, since=now, last=now, times=1)
        else:
            fault = replace(before, message=message, last=now, times=before.times + 1)
        self._current[kind, subject] = fault
        if before is None or before.message != message:
            _log.warning("%s: %s: %s", self._service, kind.value, message)

    def contained(self, clock: Clock, kind: FaultKind) -> Contained:
        """Whatever is raised inside is this service's own trouble: kept as a fault, and nobody else's."""
        return Contained(self, clock, kind)

    def raised(self, kind: FaultKind, error: Exception, now: float) -> None:
        """This was raised, and nobody foresaw it."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        self.add(kind, f"{type(error).__name__}: {error} (in {where.name}, line {where.lineno})", now)
        _log.debug("%s: %s", self._service, "".join(traceback.format_exception(error)))

    def clear(self, kind: FaultKind, subject: str = "") -> None:
        """It went well."""
        if self._current and self._current.pop((kind, subject), None) is not None:
            _log.info("%s: %s: well again", self._service, f"{kind.value} {subject}".strip())

    def keep_subjects(self, kind: FaultKind, subjects: Collection[str]) -> None:
        """Forget faults of what is no longer there."""
        for key in [key for key in self._current if key[0] is kind and key[1] not in subjects]:
            del self._current[key]

    @property
    def current(self) -> tuple[Fault, ...]:
        """What is wrong now, the latest last."""
        return tuple(sorted(self._current.values(), key=lambda fault: (fault.last, fault.kind.value, fault.subject)))

    @property
    def worst(self) -> Fault | None:
        """What to show when there is room for one: a policy that cannot be read explains all that follows from it."""
        order = list(FaultKind)
        return min(self._current.values(), key=lambda fault: (order.index(fault.kind), -fault.last), default=None)


class Contained:
    """See Faults.contained. A class: every reading and every evaluation goes through one, and a generator takes twice
    as long."""

    def __init__(self, faults: Faults, clock: Clock, kind: FaultKind) -> None:
        self._faults = faults
        self._clock = clock
        self._kind = kind

    def __enter__(self) -> None:
        """Nothing is to be prepared."""

    def __exit__(
        self, raised: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool:
        """Keep what was raised; not what ends a task or the process."""
        if not isinstance(error, Exception):
            return False
        self._faults.raised(self._kind, error, self._clock())
        return True
