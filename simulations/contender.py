"""Contender: a policy in a comparison, as it is called and as it is made for a trace.

`pilotlight` is the product's own decision code with the policies of the services; everything else is found by name in
simulations.policies.registry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.policy.canonical import policy_to_json
from autoscaler.policy.scaling_policy import ScalingPolicy
from simulations.own_policy import with_settings
from simulations.plant.observed import Observed
from simulations.policies.interface import MakePolicy, Order, Policy
from simulations.policies.pilotlight import Pilotlight
from simulations.policies.registry import ALIASES, POLICIES, named_policy
from simulations.policies.settings import PolicyError
from simulations.scenario import Scenario, ServiceSpec
from simulations.traces import notation
from simulations.traces.trace import Trace, TraceError

OWN = "pilotlight"
# Numbers of replicas that somebody has chosen are not bounded by what an autoscaler may do.
_CHOSEN = ("fixed", "peak")
ABOUT_OWN = "Pilotlight's own decisions, by the policy of -f, --set, or the defaults; takes the keys of --set"


@dataclass(frozen=True, slots=True)
class Contender:
    """One policy that is simulated.

    label     what tables and charts call it
    text      how it was asked for, in the notation NAME or NAME:KEY=VALUE,…
    policies  by service, where it is Pilotlight; else None
    bounds    least and most replicas by service, which what autoscales keeps to as well; most 0: no maximum
    """

    label: str
    text: str
    policies: Mapping[str, ScalingPolicy] | None = None
    bounds: Mapping[str, tuple[int, int]] | None = None

    def make(self, trace: Trace) -> MakePolicy:
        """Raises PolicyError."""
        if self.policies is None:
            return self._within(named_policy(self.text, trace).make)
        policies = self.policies

        def own(service: ServiceSpec, scenario: Scenario) -> Policy:
            return Pilotlight(service.name, policies[service.name])

        return own

    def _within(self, make: MakePolicy) -> MakePolicy:
        bounds = self.bounds
        if bounds is None:
            return make
        return lambda service, scenario: _Bounded(make(service, scenario), *bounds[service.name])

    def canonical(self, trace: Trace) -> object:
        """Everything that it is, for outputs. Of services with one and the same policy it stands there once."""
        if self.policies is None:
            return named_policy(self.text, trace).canonical
        bodies = {service: policy_to_json(policy) for service, policy in self.policies.items()}
        distinct = {json.dumps(body, sort_keys=True) for body in bodies.values()}
        return {"*": next(iter(bodies.values()))} if len(distinct) == 1 else bodies

    def keys(self) -> tuple[str, ...]:
        """Names of what can be set; () for Pilotlight, which takes those of the one table."""
        name = self.text.partition(":")[0]
        return () if self.policies is not None else tuple(key.name for key in POLICIES[ALIASES.get(name, name)].keys)

    def setting(self, key: str) -> str | None:
        """A setting of a policy that is not Pilotlight, as it is written; None where it has none of that name."""
        name, _, settings = self.text.partition(":")
        if self.policies is not None:
            return None
        default = next((each.shown for each in POLICIES[ALIASES.get(name, name)].keys if each.name == key), None)
        return None if default is None else notation.pairs(settings).get(key, default)

    def with_setting(self, key: str, value: str) -> Contender:
        """The same with one more setting. Raises PolicyError, for other policies than Pilotlight once they are made."""
        if self.policies is not None:
            changed = {
                service: with_settings(policy, [(key, value)], self.label) for service, policy in self.policies.items()
            }
            return Contender(self.label, self.text, changed)
        name, _, settings = self.text.partition(":")
        kept = [pair for pair in settings.split(",") if pair and pair.partition("=")[0].strip() != key]
        text = f"{name}:{','.join([*kept, f'{key}={value}'])}"
        return Contender(self.label, text, bounds=None if key == "max-replicas" else self.bounds)


class _Bounded:
    """A policy whose orders stay within what the InferenceService allows, whoever autoscales it."""

    def __init__(self, policy: Policy, least: int, most: int) -> None:
        self.period, self.urgent = policy.period, policy.urgent
        self._policy, self._least, self._most = policy, least, most

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        order = self._policy.step(observed)
        bounded = max(self._least, min(order.replicas, self._most) if self._most else order.replicas)
        return order if bounded == order.replicas else replace(order, replicas=bounded)


def contender(text: str, own: Mapping[str, ScalingPolicy]) -> Contender:
    """What `--policy TEXT` asks for; `own` are Pilotlight's policies by service. Raises PolicyError; of
    settings of other policies only once they are made."""
    name, _, settings = text.strip().partition(":")
    if name != OWN:
        if ALIASES.get(name, name) not in POLICIES:
            raise PolicyError(f"{name!r:.40} is not a policy; there are {OWN}, {', '.join(POLICIES)}")
        bounds = {service: (policy.min_replicas, policy.max_replicas) for service, policy in own.items()}
        autoscales = name not in _CHOSEN and any(any(each) for each in bounds.values())
        return Contender(text.strip(), text.strip(), bounds=bounds if autoscales else None)
    try:
        given = list(notation.pairs(settings).items())
    except TraceError as error:
        raise PolicyError(f"{OWN}: {error}") from None
    policies = {service: with_settings(policy, given, text) for service, policy in own.items()}
    return Contender(text.strip(), text.strip(), policies)


def distinct(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """Each once. Raises PolicyError for two that are called the same."""
    labels = [each.label for each in contenders]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise PolicyError(f"{twice[0]} is asked for twice")
    return tuple(contenders)
