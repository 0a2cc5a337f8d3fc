"""Defaults as they are published, written down once more: a baseline that was weakened unseen would flatter whoever is
compared with it."""

from __future__ import annotations

import pytest

from simulations.policies.registry import POLICIES

PUBLISHED = {
    # Knative Serving, config-autoscaler.
    "knative": "target=0 target-utilization=0.7 stable-window=60s panic-window=0.1 panic-threshold=2 "
    "max-scale-up-rate=1000 max-scale-down-rate=2 scale-down-delay=0s scale-to-zero=on scale-to-zero-grace=30s "
    "scale-to-zero-retention=0s initial-scale=1 activation-scale=1 target-burst-capacity=211 "
    "min-replicas=0 max-replicas=0",
    # Kubernetes, autoscaling/v2 and kube-controller-manager.
    "hpa": "sync=15s tolerance=0.1 up-window=0s up-percent=100 up-pods=4 up-period=15s down-window=300s "
    "down-percent=100 down-pods=0 down-period=15s min-replicas=1",
    # KEDA, ScaledObject; its HPA is one of Kubernetes.
    "keda": "polling=30s cooldown=300s min-replicas=0 max-replicas=100 activation=0 sync=15s tolerance=0.1 "
    "up-window=0s up-percent=100 up-pods=4 up-period=15s down-window=300s down-percent=100 down-period=15s",
    # AIBrix 0.2, NewApaScalingContext and NewKpaScalingContext.
    "apa": "up-tolerance=0.1 down-tolerance=0.2 window=60s up-rate=2 down-rate=2 resync=10s",
    "aibrix-kpa": "stable-window=60s panic-window=10s panic-threshold=2 scale-down-delay=1800s up-rate=2 down-rate=2",
    # llm-d: WVA's saturation analyser, and the guide of the law.
    "wva": "kv-threshold=0.8 queue-threshold=5 kv-spare=0.1 queue-spare=3 interval=60s",
    "slo-law": "up-above=0.55 down-below=0.4 window=45s up-window=30s up-percent=100 up-pods=4 up-period=60s "
    "down-window=180s down-percent=0 down-pods=1 down-period=120s",
    # Ray Serve, AutoscalingConfig.
    "ray-serve": "target=2 upscale-delay=30s downscale-delay=600s look-back=30s metrics-interval=10s "
    "upscaling-factor=1 downscaling-factor=1 min-replicas=1 max-replicas=100",
    # Shahrad et al., sections 2 and 4.2.
    "keep-alive": "idle=600s",
    "hybrid": "range=14400s head=0.05 tail=0.99 margin=0.1 representative=2 forecast-margin=0.15",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_baseline_has_the_defaults_of_its_project(name: str) -> None:
    shown = {key.name: key.shown for key in POLICIES[name].keys}
    published = dict(pair.split("=") for pair in PUBLISHED[name].split())
    assert {key: shown[key] for key in published} == published


def test_whose_defaults_are_not_published_is_our_own() -> None:
    assert set(POLICIES) - set(PUBLISHED) == {"fixed", "peak", "hazard"}
