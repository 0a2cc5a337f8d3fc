"""Decision: the one record. History, metric, event, log line, `explain` and reports all print this object."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from autoscaler.signals.observation import ReplicaCounts
from autoscaler.signals.reading import Reading
from autoscaler.signals.value_type import value_type


class Signal(Enum):
    """Where a candidate comes from."""

    CONCURRENCY_STABLE = "concurrency-stable"
    CONCURRENCY_PANIC = "concurrency-panic"
    RPS_STABLE = "rps-stable"
    RPS_PANIC = "rps-panic"
    BACKLOG = "backlog"
    ACTIVATION_SCALE = "activation-scale"
    IN_FLIGHT = "in-flight"
    GPU_UTILIZATION = "gpu-utilization"


class LimitName(Enum):
    """What changed a number on its way to the result."""

    SCALE_UP_RATE = "max-scale-up-rate"
    SCALE_DOWN_RATE = "max-scale-down-rate"
    PANIC_HOLDS = "panic-never-down"
    SCALE_DOWN_DELAY = "scale-down-delay"
    MIN_REPLICAS = "min-replicas"
    MAX_REPLICAS = "max-replicas"
    INITIAL_SCALE = "initial-scale"
    SCALE_TO_ZERO_OFF = "scale-to-zero-off"
    STABLE_WINDOW = "idle-shorter-than-stable-window"
    GRACE_PERIOD = "scale-to-zero-grace-period"
    RETENTION = "scale-to-zero-retention"
    ACTIVATOR_NOT_IN_PATH = "activator-not-in-path"
    WORK_IN_FLIGHT = "work-in-flight"
    ONE_BEFORE_ZERO = "one-before-zero"
    UNKNOWN_IS_NOT_ZERO = "unknown-is-not-zero"
    STARTING_REPLICAS = "starting-replicas-count"
    THROUGHPUT = "throughput-floor"
    GPU_BUSY = "gpu-busy"
    GPU_UNKNOWN = "gpu-utilization-unknown"
    NEVER_READY = "never-ready-yet"


class Reason(Enum):
    """Why the result is what it is, in one word for a graph and an alert."""

    SCALE_UP = "scale_up"
    SCALE_DOWN = "scale_down"
    STEADY = "steady"
    WAKE = "wake"
    SLEEP = "sleep"
    ASLEEP = "asleep"
    PANIC = "panic"
    AT_MAX = "at_max"
    AT_MIN = "at_min"
    WAITING_TO_SLEEP = "waiting_to_sleep"
    UNKNOWN_LOAD = "unknown_load"
    GAVE_UP_WAKING = "gave_up_waking"


class Phase(Enum):
    """The life of a service: Asleep → Waking → Serving → Draining → Asleep."""

    ASLEEP = "asleep"
    WAKING = "waking"
    SERVING = "serving"
    DRAINING = "draining"


@value_type(frozen=True)
class Candidate:
    """What one signal alone asks for. `replicas` is None when its reading may not be believed."""

    signal: Signal
    reading: Reading
    target: float
    replicas: int | None


@value_type(frozen=True)
class Limit:
    """One limit that changed the number: from `before` to `after`."""

    name: LimitName
    before: int
    after: int


class Sentence:
    """A text that is made when it is first read: of a thousand explanations hardly one is."""

    __slots__ = ("_make", "_text")

    def __init__(self, make: Callable[[], str]) -> None:
        """`make` is called at most once, and let go then."""
        self._make: Callable[[], str] | None = make
        self._text = ""

    def __str__(self) -> str:
        if self._make is not None:
            self._text, self._make = self._make(), None
        return self._text

    def __repr__(self) -> str:
        return repr(str(self))

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, str | Sentence) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))


@value_type(frozen=True)
class Decision:
    """What was decided at `at`, from what, and why.

    desired     replicas wanted from now on; equal to the observed `wanted` when nothing changes
    winner      the signal whose candidate prevailed, None when none could be believed
    said        the explanation, made or not
    """

    service: str
    at: float
    phase: Phase
    replicas: ReplicaCounts
    candidates: tuple[Candidate, ...]
    winner: Signal | None
    limits: tuple[Limit, ...]
    desired: int
    reason: Reason
    panic: bool
    excess_burst_capacity: int
    activator_in_path: bool
    said: Sentence | str

    @property
    def explanation(self) -> str:
        """One sentence for a person."""
        return str(self.said)
