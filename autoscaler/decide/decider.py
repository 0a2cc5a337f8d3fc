"""Decider: observations in, decisions out, one after the other. The controller, `replay` and the simulator all use it.

It is a deterministic fold: the same policy and the same observations give the same decisions, to the byte. What it
adds to `decide` are the windows, which it keeps as running sums instead of carrying them in the state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from autoscaler.decide.backlog import track_backlog, waiting_weight
from autoscaler.decide.backlog_load import BacklogLoad
from autoscaler.decide.decide import decide
from autoscaler.decide.decision import Decision
from autoscaler.decide.delay import needed_at_first
from autoscaler.decide.repeats import repeated, repeats_until
from autoscaler.decide.state import Backlog, Readings, State, Throughput, initial_state
from autoscaler.decide.throughput import full_load, track_throughput
from autoscaler.policy.scaling_policy import Improvements, Metric, ScalingPolicy
from autoscaler.signals.observation import Observation, Sample
from autoscaler.signals.reading import Known, Missing, Reading
from autoscaler.signals.windows import (
    LinearWindow,
    Resize,
    Window,
    arrivals_window_seconds,
    make_window,
    panic_window_seconds,
)

_MANY = 8  # samples, from which on it pays to take them together
_LONGEST_START = 3_600
_SECONDS_LATE = 3  # samples are of whole seconds, and come up to two seconds late
_NO_ARRIVALS = Missing("no arrivals were counted in the window")


class Decider:
    """Decides for one service. Neither thread-safe nor aware of time: `Observation.at` is all the time it knows."""

    def __init__(self, service: str, policy: ScalingPolicy) -> None:
        """Begin with empty windows; the state begins with the first observation."""
        self.service = service
        self._policy = policy
        self._state: State | None = None
        self._last_busy: float | None = None
        self._told = -1  # the newest second that there was a sample of
        self._arriving: Window | None = None  # arrivals over the stable window, where a throughput was measured
        self._measures(policy)

    @property
    def policy(self) -> ScalingPolicy:
        """The policy decided by."""
        return self._policy

    def step(self, observation: Observation) -> Decision:
        """Decide on one observation. One that is older than the last is taken as of the last one's time."""
        policy, state = self._policy, self._state
        if state is None:
            state = replace(initial_state(policy, observation), delay=needed_at_first(policy, observation))
        now = max(state.at, observation.at)
        second = math.floor(now)
        backlog = track_backlog(policy, state.backlog, observation, state.at, now)
        throughput = track_throughput(policy, state.throughput, observation, now)
        if not throughput.measured:
            self._arriving = None
        elif self._arriving is None:  # most services are never full, and need none
            self._arriving = LinearWindow(_stable_seconds(policy))
        self._backlog_load.forget(second - self._stable.seconds)
        self._record(observation, backlog)
        if not self._backlog_load.settled:
            self._correct(observation, backlog, second)
        unknown = self._unknown(observation) if self._stable.empty(second) else None
        readings = Readings(
            observation=observation,
            stable=unknown or Known(max(0.0, self._stable.average(second))),
            panic=unknown or Known(max(0.0, self._panic.average(second))),
            arrival_rate=(
                _NO_ARRIVALS if self._arrivals.empty(second) else Known(max(0.0, self._arrivals.average(second)))
            ),
            last_busy=self._last_busy,
            backlog=backlog,
            throughput=throughput,
            arriving=0.0 if self._arriving is None else max(0.0, self._arriving.average(second)),
        )
        decision, self._state = decide(policy, readings, state, now, self.service)
        return decision

    def repeats_until(self, observation: Observation, decision: Decision) -> float | None:
        """Up to when the decision just made on this observation can only repeat: see `repeats`."""
        if self._state is None:
            return None
        return repeats_until(self._policy, self._state, observation, decision, self._stable.most(), self._told)

    def repeat(self, observation: Observation, at: float) -> None:
        """Take it that the last decision was made again, up to `at`; only within what `repeats_until` said."""
        if self._state is not None and at > self._state.at:
            self._state = repeated(self._state, observation, at)

    def change_policy(self, policy: ScalingPolicy) -> None:
        """Decide by another policy from the next step on. Windows are resized and keep what they hold; the state stays.

        Where another metric or aggregation is asked for, its windows begin empty: what they would have held was
        not kept.
        """
        before, self._policy = self._policy, policy
        if self._state is not None and full_load(before) != full_load(policy):
            self._state = replace(self._state, throughput=Throughput())  # another number is full from now on
        if (before.metric, before.aggregation) != (policy.metric, policy.aggregation):
            self._measures(policy)
            return
        how = Resize.FORGETS_FILL if _resizes_as_knative(policy.improvements) else Resize.KEEPS_FILL
        self._stable.resize(_stable_seconds(policy), how)
        self._panic.resize(_panic_seconds(policy), how)
        self._arrivals.resize(_arrivals_seconds(policy), how)
        if self._arriving is not None:
            self._arriving.resize(_stable_seconds(policy), how)

    def _measures(self, policy: ScalingPolicy) -> None:
        self._stable: Window = make_window(_stable_seconds(policy), policy.aggregation)
        self._panic: Window = make_window(_panic_seconds(policy), policy.aggregation)
        self._arrivals: Window = LinearWindow(_arrivals_seconds(policy))
        self._arriving = None
        self._backlog_load = BacklogLoad()

    def _record(self, observation: Observation, backlog: Backlog) -> None:
        samples = observation.samples
        if not samples:
            return
        by_rps = self._policy.metric is Metric.RPS
        stable, panic, arrivals = self._stable.record, self._panic.record, self._arrivals.record
        arriving = self._arriving
        add_to_backlog = self._backlog_load.add
        held_from, held_to = (math.inf, -math.inf) if by_rps else backlog.seconds
        of_backlog = held_from <= samples[0].second and samples[-1].second <= held_to
        if of_backlog and len(samples) > _MANY and self._record_backlog(samples):
            return
        busy = self._last_busy
        first, last = 0, -1  # from which to which second it was silent, which is not written yet
        for second, load, rate, waiting in samples:
            if load > 0.0 and (busy is None or second >= busy):
                busy = second + 1.0
            if by_rps:
                load = rate
            elif held_from <= second <= held_to and (load > 0.0 or rate):
                add_to_backlog(second, load, rate, waiting)
                load = 0.0  # it was measured; what it counts is said by `_correct`
            if load == 0.0 and rate == 0.0:
                if first > last or second < last:
                    self._record_silence(first, last)
                    first = second
                last = second  # of a silence its ends may be all that is told
                continue
            if first <= last:
                self._record_silence(first, last)
                first, last = 0, -1
            stable(second, load)
            panic(second, load)
            arrivals(second, rate)
            if arriving is not None:
                arriving.record(second, rate)
        self._record_silence(first, last)
        self._last_busy = busy
        self._told = max(self._told, samples[-1].second)

    def _record_backlog(self, samples: Sequence[Sample]) -> bool:
        """What the loop in `_record` does with the seconds of a long start, all at once; False where it has to."""
        seconds, loads, rates, waiting = zip(*samples, strict=True)
        first, last = seconds[0], seconds[-1]
        if seconds != tuple(range(first, last + 1)) or min(loads) <= 0.0:
            return False
        self._backlog_load.add_run(first, loads, rates, waiting)
        self._record_silence(first, last)
        for second, rate in zip(seconds, rates, strict=True):
            if rate:
                self._arrivals.record(second, rate)
                if self._arriving is not None:
                    self._arriving.record(second, rate)
        if self._last_busy is None or last >= self._last_busy:
            self._last_busy = last + 1.0
        self._told = max(self._told, last)
        return True

    def _record_silence(self, first: int, last: int) -> None:
        if first <= last:
            for window in (self._stable, self._panic, self._arrivals):
                window.record_silence(first, last)
            if self._arriving is not None:
                self._arriving.record_silence(first, last)

    def _correct(self, observation: Observation, backlog: Backlog, now: int) -> None:
        """Let the seconds of a backlog count what they would have been without the start that it waited for."""
        service_seconds = observation.service_seconds
        over = backlog.last is not None and backlog.last < now
        weight = waiting_weight(self._policy, observation)
        for second, load in self._backlog_load.corrections(weight, service_seconds, over=over):
            self._stable.record(second, load)
            self._panic.record(second, load)

    def _unknown(self, observation: Observation) -> Reading:
        """What windows are taken for that hold nothing."""
        quiet = isinstance(observation.held, Known) and isinstance(observation.in_flight, Known)
        if self._policy.target_burst_capacity == -1.0 and quiet:
            return Known(0.0)  # every request passes the activator, so nothing counted is nothing there
        return Missing(f"nothing was measured in the last {self._stable.seconds} s")


def seconds_remembered(policy: ScalingPolicy) -> int:
    """How far back anything reaches that a decision looks at: what is older need not be told to one that begins."""
    if policy.asleep_at_first:  # who came while the first replica starts is asked for, however long that takes
        return _LONGEST_START
    windows = max(_stable_seconds(policy), _panic_seconds(policy), _arrivals_seconds(policy))
    return windows + _SECONDS_LATE


def _resizes_as_knative(improvements: Improvements) -> bool:
    """The throughput floor is not asked: it was not recorded before there was one."""
    return not (improvements.starting_replicas_count or improvements.backlog_sizing or improvements.one_before_zero)


def _stable_seconds(policy: ScalingPolicy) -> int:
    return max(1, math.ceil(policy.stable_window_seconds))


def _panic_seconds(policy: ScalingPolicy) -> int:
    return panic_window_seconds(policy.stable_window_seconds, policy.panic_window_fraction)


def _arrivals_seconds(policy: ScalingPolicy) -> int:
    return arrivals_window_seconds(policy.stable_window_seconds, policy.panic_window_fraction)
