"""All policies by name: `keda`, `hpa:metric=kv,target=0.5`, `keep-alive:idle=10m`. What the command line, the help and
the documentation list.

The clairvoyant is not among them: it is no policy but a bound, computed from the whole trace (simulations.bounds), and
is shown beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from simulations.policies.aibrix import AibrixKpa, AibrixKpaSettings, Apa, ApaSettings
from simulations.policies.fixed import Fixed, FixedSettings, PeakReplicas, PeakSettings
from simulations.policies.hpa import Hpa, HpaSettings
from simulations.policies.idle_gaps import Hazard, HazardSettings, Hybrid, HybridSettings
from simulations.policies.interface import MakePolicy, Policy
from simulations.policies.keda import Keda, KedaSettings
from simulations.policies.keep_alive import KeepAlive, KeepAliveSettings
from simulations.policies.knative import KnativeSettings, knative
from simulations.policies.llmd import SloLaw, SloLawSettings, Wva, WvaSettings
from simulations.policies.ray_serve import RayServe, RayServeSettings
from simulations.policies.settings import Key, PolicyError, canonical_settings, keys_of, parse_settings
from simulations.scenario import Scenario, ServiceSpec
from simulations.traces.trace import Trace

S = TypeVar("S")


class PolicyKind(Protocol):
    """A policy that can be asked for by name."""

    @property
    def name(self) -> str:
        """As it is asked for."""
        ...

    @property
    def about(self) -> str:
        """One line for lists of policies."""
        ...

    @property
    def keys(self) -> tuple[Key, ...]:
        """What can be set."""
        ...

    def make(self, text: str, trace: Trace | None) -> NamedPolicy:
        """With these settings. Raises PolicyError."""
        ...


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy with its settings.

    name       as it was asked for
    canonical  with all its settings; the same text for the same policy
    """

    name: str
    canonical: str
    make: MakePolicy


@dataclass(frozen=True, slots=True)
class _Kind(Generic[S]):
    name: str
    about: str
    settings: type[S]
    of: Callable[[S, Trace | None], MakePolicy]

    @property
    def keys(self) -> tuple[Key, ...]:
        return tuple(keys_of(self.settings))

    def make(self, text: str, trace: Trace | None) -> NamedPolicy:
        try:
            settings = parse_settings(self.settings, text)
            made = self.of(settings, trace)
        except PolicyError as error:
            raise PolicyError(f"{self.name}: {error}") from None
        return NamedPolicy(self.name, f"{self.name}:{canonical_settings(settings)}", made)


def _each(policy: Callable[[S, ServiceSpec], Policy]) -> Callable[[S, Trace | None], MakePolicy]:
    """One object for each service, made from settings and service."""

    def of(settings: S, trace: Trace | None) -> MakePolicy:
        return lambda service, scenario: policy(settings, service)

    return of


def _peak(settings: PeakSettings, trace: Trace | None) -> MakePolicy:
    if trace is None:
        raise PolicyError("it is sized for the peak of a trace, and there is none")
    peaks = PeakReplicas(trace, settings.share)

    def make(service: ServiceSpec, scenario: Scenario) -> Policy:
        return Fixed(peaks.of(service))

    return make


_KINDS: tuple[PolicyKind, ...] = (
    _Kind("fixed", "a number of replicas that never changes", FixedSettings, _each(lambda s, _: Fixed(s.replicas))),
    _Kind("peak", "as many replicas as the busiest moment of the trace needs, always", PeakSettings, _peak),
    _Kind("knative", "Knative's KPA: a stable and a panic window, and to zero", KnativeSettings, _each(knative)),
    _Kind("hpa", "Kubernetes' HorizontalPodAutoscaler on a metric of pods", HpaSettings, _each(lambda s, _: Hpa(s))),
    _Kind("keda", "KEDA: 0↔1 by polling and cooldown, 1..N by an HPA on a total", KedaSettings, _each(Keda)),
    _Kind("apa", "AIBrix's APA: a ratio with tolerances over one window", ApaSettings, _each(lambda s, _: Apa(s))),
    _Kind(
        "aibrix-kpa",
        "AIBrix's KPA: two windows, panic, and a delay downwards, on a metric of engines",
        AibrixKpaSettings,
        _each(lambda s, _: AibrixKpa(s)),
    ),
    _Kind("wva", "llm-d's WVA: one more when KV cache or queue are short of spare room", WvaSettings, _each(Wva)),
    _Kind("slo-law", "llm-d's law on TTFT and time per token over their objectives", SloLawSettings, _each(SloLaw)),
    _Kind("ray-serve", "Ray Serve: ongoing requests, with delays", RayServeSettings, _each(lambda s, _: RayServe(s))),
    _Kind("keep-alive", "what load needs, and each replica a fixed time longer", KeepAliveSettings, _each(KeepAlive)),
    _Kind("hybrid", "hybrid histogram: unload, and come back before the next request", HybridSettings, _each(Hybrid)),
    _Kind("hazard", "keep-alive as long as idle times so far make it worth", HazardSettings, _each(Hazard)),
)  # fmt: skip
POLICIES: Mapping[str, PolicyKind] = {kind.name: kind for kind in _KINDS}
# Names that people use for the same thing.
ALIASES: Mapping[str, str] = {"kpa": "knative", "histogram": "hybrid"}


def named_policy(text: str, trace: Trace | None = None) -> NamedPolicy:
    """The policy that `text` asks for: NAME or NAME:KEY=VALUE,…. `trace` is looked at by policies that are sized from
    it. Raises PolicyError."""
    name, _, rest = text.strip().partition(":")
    kind = POLICIES.get(ALIASES.get(name, name))
    if kind is None:
        raise PolicyError(f"{name!r:.40} is not a policy; there are {', '.join(POLICIES)}")
    return replace(kind.make(rest, trace), name=text.strip())
