"""Sweeps: what if starts took four times as long, or load doubled? One thing is varied at a time, the rest stays.

    startup=0.25..4        five values, evenly on a logarithmic scale
    load=0.5,1,2           these
    metric-delay=0..60s/7  seven values, evenly

An axis is either about the world, and then all policies see the same change, or about a policy; those that have no such
setting are left out of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from simulations.contender import Contender
from simulations.policies.metrics import SHARES
from simulations.policies.settings import PolicyError
from simulations.scenario import MOST_RECLAIMS, PHASE_FIELDS, Scenario, StartDraws
from simulations.traces import notation, transforms
from simulations.traces.trace import Trace, TraceError

_POINTS = 5
_MOST_POINTS = 100


class SweepError(ValueError):
    """A sweep that cannot be: names the axis, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The world of a run: what comes, what it comes to, what it costs, and how much of the beginning does not count.

    price    USD for a GPU-hour; warm_up: seconds
    """

    trace: Trace
    scenario: Scenario
    price: float
    warm_up: float


@dataclass(frozen=True, slots=True)
class Axis:
    """What can be varied.

    least, most   bounds of its values; whole: only whole numbers; times: values may be written as times
    geometric     a range is stepped through evenly on a logarithmic scale
    setup         the world with a value of it; None: it is about policies
    keys          settings of policies that mean it, the first that a policy has; own: the same of Pilotlight's
    means         whether a policy that has such a setting means the same by it
    """

    name: str
    about: str
    least: float
    most: float
    geometric: bool = False
    whole: bool = False
    times: bool = False
    setup: Callable[[Setup, float], Setup] | None = None
    keys: tuple[str, ...] = ()
    own: str = ""
    means: Callable[[Contender], bool] = lambda _: True

    def contender(self, contender: Contender, value: float) -> Contender | None:
        """The policy with this value; None where it has no such setting. Raises PolicyError."""
        if not self.keys:
            return contender
        text = f"{value:g}s" if self.times else f"{value:g}"
        if contender.policies is not None:
            return contender.with_setting(self.own, text)
        there = contender.keys()
        key = next((key for key in self.keys if key in there), None)
        return None if key is None or not self.means(contender) else contender.with_setting(key, text)

    def shown(self, value: float) -> str:
        """A value, as it is written."""
        return f"×{value:g}" if self.geometric and not self.keys else f"{value:g} s" if self.times else f"{value:g}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """One axis, and the values that it is given in turn."""

    axis: Axis
    values: tuple[float, ...]


def _startup(setup: Setup, factor: float) -> Setup:
    def scaled(start: StartDraws) -> StartDraws:
        return replace(start, **{phase: getattr(start, phase) * factor for phase in PHASE_FIELDS})

    services = tuple(replace(service, start=scaled(service.start)) for service in setup.scenario.services)
    return replace(setup, scenario=replace(setup.scenario, services=services))


def _failed(setup: Setup, share: float) -> Setup:
    services = tuple(
        replace(service, start=replace(service.start, failure=share)) for service in setup.scenario.services
    )
    return replace(setup, scenario=replace(setup.scenario, services=services))


def _reclaimed(setup: Setup, an_hour: float) -> Setup:
    services = tuple(replace(service, reclaims=an_hour) for service in setup.scenario.services)
    return replace(setup, scenario=replace(setup.scenario, services=services))


def _delay(setup: Setup, seconds: float) -> Setup:
    scenario = setup.scenario
    return replace(setup, scenario=replace(scenario, metrics=replace(scenario.metrics, delay=seconds)))


def _loss(setup: Setup, share: float) -> Setup:
    scenario = setup.scenario
    return replace(setup, scenario=replace(scenario, metrics=replace(scenario.metrics, loss=share)))


def _gpus(setup: Setup, gpus: float) -> Setup:
    cluster = replace(setup.scenario.cluster, gpus_per_node=int(gpus), nodes=1, most_nodes=0)
    return replace(setup, scenario=replace(setup.scenario, cluster=cluster))


def _counts(contender: Contender) -> bool:
    """Whether its target is a number of requests: 1 of one, and the whole of the KV cache, are not the same."""
    return contender.setting("metric") not in {metric.value for metric in SHARES}


AXES: Mapping[str, Axis] = {
    axis.name: axis
    for axis in (
        Axis("startup", "all phases of a start times this", 0.01, 100.0, geometric=True, setup=_startup),
        Axis(
            "load", "requests times this", 0.01, transforms.MOST_LOAD, geometric=True,
            setup=lambda setup, value: replace(setup, trace=transforms.scale_load(setup.trace, value)),
        ),
        Axis(
            "burstiness", "rates to the power of this, with the same mean: a warp of time", 0.0, 10.0,
            setup=lambda setup, value: replace(setup, trace=transforms.warp_burstiness(setup.trace, value)),
        ),
        Axis("metric-delay", "seconds from a scrape to what is decided on it", 0.0, 600.0, times=True, setup=_delay),
        Axis("metric-loss", "share of replicas' readings that are lost", 0.0, 0.99, setup=_loss),
        Axis("gpus", "GPUs that there are", 1, 1_000_000, whole=True, setup=_gpus),
        Axis("failed-starts", "share of starts that fail", 0.0, 0.99, setup=_failed),
        Axis("reclaims", "times an hour that a replica's node is taken back", 0.0, MOST_RECLAIMS, setup=_reclaimed),
        Axis(
            "target", "requests that one replica should have", 0.01, 1e6, geometric=True,
            keys=("target",), own="target", means=_counts,
        ),
        Axis(
            "keep-alive", "how long a replica stays that nobody uses", 0.0, 86_400.0, times=True,
            keys=("idle", "scale-down-delay", "cooldown", "downscale-delay", "down-window"),
            own="scale-down-delay",
        ),
        Axis("max-replicas", "never more replicas", 1, 10_000, whole=True, keys=("max-replicas",), own="max-replicas"),
    )
}  # fmt: skip


def parse_sweep(text: str) -> Sweep:
    """AXIS=LEAST..MOST, AXIS=LEAST..MOST/COUNT or AXIS=VALUE,VALUE,…. Raises SweepError."""
    name, equals, written = text.partition("=")
    axis = AXES.get(name.strip())
    if axis is None:
        raise SweepError(f"{name.strip()!r:.40} cannot be varied; there are {', '.join(AXES)}")
    if not equals or not written.strip():
        raise SweepError(f"{axis.name}: say over what: {axis.name}=LEAST..MOST or {axis.name}=VALUE,VALUE,…")
    listed = ".." not in written
    values = tuple(_value(axis, each) for each in written.split(",")) if listed else _range(axis, written)
    if len(set(values)) < len(values):
        raise SweepError(f"{axis.name}: a value is given twice in {written.strip():.60}")
    return Sweep(axis, values)


def _range(axis: Axis, written: str) -> tuple[float, ...]:
    between, _, count_text = written.partition("/")
    least_text, _, most_text = between.partition("..")
    unit = most_text.strip().lstrip("0123456789.") if axis.times else ""
    least = _value(axis, least_text if least_text.strip()[-1:].isalpha() else least_text.strip() + unit)
    most = _value(axis, most_text)
    count = _POINTS
    if count_text.strip():
        if not count_text.strip().isdigit() or not 2 <= int(count_text) <= _MOST_POINTS:
            raise SweepError(f"{axis.name}: {count_text.strip()!r:.20} is not a number of values, 2 to {_MOST_POINTS}")
        count = int(count_text)
    if not least < most:
        raise SweepError(f"{axis.name}: {written.strip():.60} does not go upwards")
    if axis.geometric:
        steps = [least * (most / least) ** (at / (count - 1)) for at in range(count)]
    else:
        steps = [least + (most - least) * at / (count - 1) for at in range(count)]
    if axis.whole:
        return tuple(sorted({float(round(step)) for step in steps}))
    return (least, *(float(f"{step:.6g}") for step in steps[1:-1]), most)


def _value(axis: Axis, text: str) -> float:
    try:
        value = notation.seconds(text) if axis.times else float(text)
    except (TraceError, ValueError):
        value = math.nan
    whole = " whole" if axis.whole else ""
    if not axis.least <= value <= axis.most or (axis.whole and value != int(value)):
        kind = "time" if axis.times else "number"
        raise SweepError(
            f"{axis.name}: {text.strip()!r:.40} is not a{whole} {kind} from {axis.least:g} to {axis.most:g}"
        )
    return value


def swept(sweep: Sweep, setup: Setup, contenders: Sequence[Contender], value: float) -> tuple[Setup, list[Contender]]:
    """World and policies with this value; policies that have no such setting are left out. Raises SweepError."""
    axis = sweep.axis
    try:
        changed = axis.setup(setup, value) if axis.setup is not None else setup
        with_it = [made for each in contenders if (made := axis.contender(each, value)) is not None]
    except (PolicyError, TraceError, ValueError) as error:
        raise SweepError(f"{axis.name}={value:g}: {error}") from error
    return changed, with_it
