"""Policies as text: what is understood, what is refused, and how that is said."""

from __future__ import annotations

import pytest

from simulations.policies.hpa import HpaSettings
from simulations.policies.keep_alive import KeepAliveSettings
from simulations.policies.knative import KnativeSettings
from simulations.policies.metrics import PodMetric
from simulations.policies.registry import ALIASES, POLICIES, named_policy
from simulations.policies.settings import PolicyError, Routing, canonical_settings, keys_of, parse_settings
from simulations.traces.notation import generate

TRACE = generate("poisson:rate=1,span=10,seconds=1")


def test_keys_are_typed_and_what_is_left_out_keeps_its_default() -> None:
    assert parse_settings(HpaSettings, "target=0.5, metric=kv") == HpaSettings(target=0.5, metric=PodMetric.KV)
    assert parse_settings(KeepAliveSettings, "idle=10m") == KeepAliveSettings(idle=600.0)
    assert parse_settings(KnativeSettings, "max-replicas=7,routing=random") == KnativeSettings(
        max_replicas=7, routing=Routing.RANDOM
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kubernetes", "'kubernetes' is not a policy; there are fixed, peak, knative, hpa"),
        ("hpa:speed=3", "hpa: 'speed' is not a key; there are min-replicas, max-replicas"),
        ("hpa:metric=cpu", "hpa: metric=cpu: there are concurrency, queue"),
        ("hpa:target=much", "hpa: target=much is not a number"),
        ("hpa:target=nan", "hpa: target=nan: it is 1e-06 to"),
        ("hpa:target", "hpa: 'target' is not KEY=VALUE"),
        ("hpa:target=1,target=2", "hpa: target is given twice"),
        ("hpa:sync=0", "hpa: sync=0: it is 1 or more"),
        ("hpa:sync=soon", "hpa: sync: 'soon' is not a time"),
        ("fixed:replicas=1.5", "fixed: replicas=1.5 is not a whole number"),
        ("fixed:replicas=-1", "fixed: replicas=-1: it is 0 to"),
        ("hpa:min-replicas=5,max-replicas=2", "hpa: max-replicas 2 is less than min-replicas 5"),
        ("peak", "peak: it is sized for the peak of a trace, and there is none"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        named_policy(text)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("name", [*POLICIES, *ALIASES])
def test_the_canonical_text_asks_for_the_same_again(name: str) -> None:
    once = named_policy(name, TRACE)
    assert named_policy(once.canonical, TRACE).canonical == once.canonical
    assert once.name == name


@pytest.mark.parametrize("kind", POLICIES.values(), ids=POLICIES)
def test_every_policy_and_key_is_described(kind: object) -> None:
    about, keys = kind.about, kind.keys  # type: ignore[attr-defined]
    assert about
    assert all(key.setting.about and key.shown for key in keys)
    assert len({key.name for key in keys}) == len(keys)


def test_settings_are_said_in_full() -> None:
    assert canonical_settings(KeepAliveSettings(idle=300.0)) == "min-replicas=0,max-replicas=0,routing=least,idle=300s"
    assert [key.name for key in keys_of(KeepAliveSettings)] == ["min-replicas", "max-replicas", "routing", "idle"]
