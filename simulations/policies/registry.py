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
from simulations.policies.resting import Forgetful, Resting
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
    def source(self) -> str:
        """Where rule and defaults were published."""
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
    source: str
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


def _polling(policy: Callable[[S, ServiceSpec], Forgetful]) -> Callable[[S, Trace | None], MakePolicy]:
    """The same of one that is asked for ever, and is left to rest while nothing can change."""
    return _each(lambda settings, service: Resting(policy(settings, service)))


def _peak(settings: PeakSettings, trace: Trace | None) -> MakePolicy:
    if trace is None:
        raise PolicyError("it is sized for the peak of a trace, and there is none")
    peaks = PeakReplicas(trace, settings.share)

    def make(service: ServiceSpec, scenario: Scenario) -> Policy:
        return Fixed(peaks.of(service))

    return make


_KINDS: tuple[PolicyKind, ...] = (
    _Kind(
        "fixed",
        "a number of replicas that never changes",
        "nobody needs one",
        FixedSettings,
        _each(lambda s, _: Fixed(s.replicas)),
    ),
    _Kind(
        "peak",
        "as many replicas as the busiest moment of the trace needs, always",
        "what a careful team provisions by hand, had it known the trace",
        PeakSettings,
        _peak,
    ),
    _Kind(
        "knative",
        "Knative's KPA: a stable and a panic window, and to zero",
        "Knative Serving, `config-autoscaler`; decided by the product's own code in Knative's terms, every 2 s",
        KnativeSettings,
        _each(knative),
    ),
    _Kind(
        "hpa",
        "Kubernetes' HorizontalPodAutoscaler on a metric of pods",
        "Kubernetes, autoscaling/v2 with its `behavior`, and kube-controller-manager's replica calculator",
        HpaSettings,
        _polling(lambda s, _: Hpa(s)),
    ),
    _Kind(
        "keda",
        "KEDA: 0↔1 by polling and cooldown, 1..N by an HPA on a total",
        'KEDA, "Scaling Deployments" and "ScaledObject specification"; it has no default threshold, here it is 70 %',
        KedaSettings,
        _polling(Keda),
    ),
    _Kind(
        "apa",
        "AIBrix's APA: a ratio with tolerances over one window",
        "AIBrix 0.2, `pkg/controller/podautoscaler`: NewApaScalingContext",
        ApaSettings,
        _polling(lambda s, _: Apa(s)),
    ),
    _Kind(
        "aibrix-kpa",
        "AIBrix's KPA: two windows, panic, and a delay downwards, on a metric of engines",
        "AIBrix 0.2, `pkg/controller/podautoscaler`: NewKpaScalingContext",
        AibrixKpaSettings,
        _polling(lambda s, _: AibrixKpa(s)),
    ),
    _Kind(
        "wva",
        "llm-d's WVA: one more when KV cache or queue are short of spare room",
        "llm-d, workload-variant-autoscaler: saturation analyser, and its model-based optimiser",
        WvaSettings,
        _polling(Wva),
    ),
    _Kind(
        "slo-law",
        "llm-d's law on TTFT and time per token over their objectives",
        'llm-d, the guide "SLO-aware workload autoscaling"',
        SloLawSettings,
        _polling(SloLaw),
    ),
    _Kind(
        "ray-serve",
        "Ray Serve: ongoing requests, with delays",
        'Ray, "Advanced Ray Serve Autoscaling" and `ray.serve.autoscaling_policy`',
        RayServeSettings,
        _polling(lambda s, _: RayServe(s)),
    ),
    _Kind(
        "keep-alive",
        "what load needs, and each replica a fixed time longer",
        "ten minutes: what AWS Lambda and Azure Functions were measured to keep (Shahrad et al., ATC 2020, section 2)",
        KeepAliveSettings,
        _each(KeepAlive),
    ),
    _Kind(
        "hybrid",
        "hybrid histogram: unload, and come back before the next request",
        "Shahrad et al., ATC 2020, without its ARIMA for idle times beyond the histogram",
        HybridSettings,
        _each(Hybrid),
    ),
    _Kind(
        "hazard",
        "keep-alive as long as idle times so far make it worth",
        "optimal for a known distribution of idle times; where nothing is known, ski rental: at most twice the optimum",
        HazardSettings,
        _each(Hazard),
    ),
)
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
