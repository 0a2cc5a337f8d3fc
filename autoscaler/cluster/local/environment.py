"""The variables of a container, as Kubernetes would give them to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.placeholders import ObjectMeta, expand, place_model, place_port_value
from autoscaler.serving.fields import Fields

_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_LOOPBACK_FIELDS = ("status.podIP", "status.hostIP")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. `literal` values are taken as they are; `is_replica_name` is filled in for each replica."""

    name: str
    value: str = ""
    literal: bool = False
    is_replica_name: bool = False

    def value_for(
        self, replica: str, ports: Mapping[int, int], model_directory: str | None, before: Mapping[str, str]
    ) -> str:
        """Its value for one replica; `before` are the variables above it, which it may refer to."""
        if self.is_replica_name:
            return replica
        if self.literal:
            return self.value
        return expand(place_model(place_port_value(self.value, ports), model_directory), before)


def read_environment(container: Fields, meta: ObjectMeta) -> tuple[Variable, ...]:
    """The container's variables in order. Raises LaunchError for those whose source exists in a cluster only."""
    if "envFrom" in container:
        raise LaunchError(
            f"{container.at('envFrom')}: there are no Secrets or ConfigMaps here; write the variables out"
        )
    return tuple(_variable(entry, meta) for entry in container.objects("env"))


def _variable(entry: Fields, meta: ObjectMeta) -> Variable:
    name = entry.text("name")
    if not name or "=" in name or "\0" in name:
        raise LaunchError(f"{entry.at('name')} must be the name of a variable, not {name!r}")
    if "valueFrom" not in entry:
        value = entry.text("value") or ""
        if "\0" in value:
            raise LaunchError(f"{entry.at('value')} must not contain a NUL character")
        return Variable(name, value)
    source = entry.within("valueFrom")
    if "fieldRef" not in source:
        kinds = ", ".join(source) or "nothing"
        raise LaunchError(f"{source.where}: {name} comes from {kinds}, which is not here; write its value")
    return _from_field(name, source.within("fieldRef"), meta)


def _from_field(name: str, reference: Fields, meta: ObjectMeta) -> Variable:
    path = reference.text("fieldPath") or ""
    if path == "metadata.name":
        return Variable(name, is_replica_name=True)
    if path == "metadata.namespace":
        return Variable(name, meta.namespace, literal=True)
    if path in _LOOPBACK_FIELDS:
        return Variable(name, "127.0.0.1", literal=True)
    keyed = _KEYED.fullmatch(path)
    if keyed is None:
        raise LaunchError(
            f"{reference.at('fieldPath')} may be metadata.name, metadata.namespace, metadata.labels['...'], "
            f"metadata.annotations['...'] or {', '.join(_LOOPBACK_FIELDS)} here, not {path!r}"
        )
    table = meta.labels if keyed[1] == "labels" else meta.annotations
    return Variable(name, table.get(keyed[2], ""), literal=True)
