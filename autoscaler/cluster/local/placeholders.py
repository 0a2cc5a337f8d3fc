"""What is filled into a container before it runs: `{{.Name}}`, `/mnt/models`, `$(VAR)`, and port numbers.

Each is a function from text to text, applied once and in a fixed order, so that nothing that was filled in is looked
at again: a label's value that happens to read `$(HOME)` stays what it is until the container's own expansion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.cluster.local.launch_error import LaunchError

_MOUNT = re.compile(r"(?<![\w.\-])/mnt/models(?![\w.\-])")
_TEMPLATE = re.compile(r"\{\{-?\s*\.(Name|Namespace|(Labels|Annotations)\.([A-Za-z_]\w*))\s*-?\}\}")
_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")
# A port number that stands as a number of its own: the whole argument, after `=`, or after the host's colon.
_PORT = re.compile(r"(?P<before>^|=|:)(?P<port>\d{1,5})$")


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What the templates of a ServingRuntime can ask of an InferenceService."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def fill_templates(value: object, meta: ObjectMeta, where: str) -> object:
    """`{{.Name}}`, `{{.Namespace}}`, `{{.Labels.x}}`, `{{.Annotations.x}}` in every text of a container.

    Raises LaunchError when the label or annotation is not there: KServe would fill in `<no value>`.
    """
    if isinstance(value, str):
        return _TEMPLATE.sub(lambda match: _template_value(match, meta, where), value)
    if isinstance(value, Mapping):
        return {name: fill_templates(item, meta, where) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_templates(item, meta, where) for item in value]
    return value


def has_templates(value: str) -> bool:
    """Whether `fill_templates` would change this text."""
    return _TEMPLATE.search(value) is not None


def _template_value(match: re.Match[str], meta: ObjectMeta, where: str) -> str:
    whole, kind, key = match.groups()
    if kind is None:
        return meta.name if whole == "Name" else meta.namespace
    table = meta.labels if kind == "Labels" else meta.annotations
    if key not in table:
        known = ", ".join(sorted(table)) or "none"
        raise LaunchError(f"{where} uses {match.group()}, but the InferenceService has no such entry (it has: {known})")
    return table[key]


def place_model(text: str, model_directory: str | None) -> str:
    """`/mnt/models`, where KServe mounts a model, becomes the folder that it is in here."""
    return text if model_directory is None else _MOUNT.sub(lambda _: model_directory, text)


def names_model_mount(text: str) -> bool:
    """Whether this text speaks of `/mnt/models`."""
    return _MOUNT.search(text) is not None


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Kubernetes' expansion: `$(VAR)` is the variable's value, `$$` is a `$`; an unknown `$(VAR)` stays as it is."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else variables.get(name, match.group())

    return _REFERENCE.sub(value, text)


def ports_named(argument: str) -> int | None:
    """The port number that an argument ends in (`8080`, `--port=8080`, `0.0.0.0:8080`), if it has that form."""
    match = _PORT.search(argument)
    return None if match is None else int(match["port"])


def place_port(argument: str, ports: Mapping[int, int]) -> str:
    """An argument with the port it names replaced by the one allocated for it."""
    return _PORT.sub(lambda match: f"{match['before']}{ports.get(int(match['port']), match['port'])}", argument)


def place_port_value(value: str, ports: Mapping[int, int]) -> str:
    """An environment value with its port replaced; only a value that is nothing but the number counts."""
    return place_port(value, ports) if value.isascii() and value.isdigit() else value
