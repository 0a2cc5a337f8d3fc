"""What `pilotlight simulate` knows of each service: its policy, its limit and its GPUs, from manifests or defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoscaler.policy.manifest import Manifest
from autoscaler.policy.parse import read_policy
from autoscaler.policy.scaling_policy import ScalingPolicy
from pilotlight.errors import CommandError
from pilotlight.given_manifests import given_manifests
from simulations.own_policy import default_policy, with_settings
from simulations.policies.settings import PolicyError

_GPU = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Declared:
    """What is said of a service: its policy with its limit, and the GPUs of a replica; `where` it is said."""

    policy: ScalingPolicy
    gpus: int
    where: str


def declared(files: Sequence[Path]) -> dict[str, Declared]:
    """The InferenceServices in `files`, by namespace/name. Raises CommandError with every mistake in them."""
    if not files:
        return {}
    manifests = given_manifests(files)
    return {
        manifest.service: Declared(
            read_policy(manifest.body, manifest.source, manifests.profiles), _gpus(manifest), str(manifest.where)
        )
        for manifest in manifests.services
    }


def services_of(names: Sequence[str], known: Mapping[str, Declared], limit: int | None, usual: int) -> list[Declared]:
    """What is known of each service of a trace, in its order.

    A name is `name` or `namespace/name`; a single InferenceService that no name fits is meant for all of them.
    `limit` overrides, `usual` is the limit where nothing is said. Raises CommandError for services that are not there.
    """
    by_name = {name: each for service, each in known.items() for name in (service, service.partition("/")[2])}
    found = [by_name.get(name) for name in names]
    if known and not all(found):
        if any(found) or len(known) > 1:
            missing = [name for name, each in zip(names, found, strict=True) if each is None]
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise CommandError(
                f"no InferenceService is called {', '.join(missing[:5])}{more}; there are {', '.join(known)}: "
                "choose services of the trace with --service, or give one InferenceService for all"
            )
        found = [next(iter(known.values()))] * len(names)
    nothing = Declared(default_policy(usual if limit is None else limit), 1, "")
    return [_limited(each or nothing, limit) for each in found]


def with_given(policies: Mapping[str, ScalingPolicy], settings: Sequence[str]) -> dict[str, ScalingPolicy]:
    """The policies with what `--set` says. Raises CommandError."""
    pairs = []
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise CommandError(f"--set {text:.60}: is not KEY=VALUE")
        pairs.append((key.strip(), value.strip()))
    try:
        return {service: with_settings(policy, pairs) for service, policy in policies.items()}
    except PolicyError as error:
        raise CommandError(str(error)) from error


def _limited(each: Declared, limit: int | None) -> Declared:
    if limit is None or limit == each.policy.container_concurrency:
        return each
    policy = each.policy
    # A target above what a replica takes could never be reached.
    target = min(policy.target, float(limit)) if limit else policy.target
    return replace(each, policy=replace(policy, container_concurrency=limit, target=target))


def _gpus(manifest: Manifest) -> int:
    """GPUs of one replica, as its containers limit them; 1 where nothing is said of any."""
    spec = _mapping(manifest.body.get("spec"))
    predictor = _mapping(spec.get("predictor"))
    containers = predictor.get("containers")
    everything = [*(containers if isinstance(containers, list) else []), predictor.get("model")]
    total = 0
    for container in map(_mapping, everything):
        count = _mapping(_mapping(container.get("resources")).get("limits")).get(_GPU, 0)
        text = str(count)
        if not text.isascii() or not text.isdigit() or len(text) > 4 or int(text) > 1024:
            where = f"{manifest.where}: {manifest.service}: resources.limits.{_GPU}"
            raise CommandError(f"{where} is {text!r:.40}; a whole number up to 1024 is allowed")
        total += int(text)
    return total or 1


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
