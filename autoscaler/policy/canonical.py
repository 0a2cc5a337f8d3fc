"""The canonical form of a policy: a JSON object with every field, for recordings and for `explain`.

A recording is a file, and files are edited; so what is read back is held against the bounds of the table as if a
user had written it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TypeVar, get_type_hints

from autoscaler.policy import keys
from autoscaler.policy.errors import PolicyError, PolicyErrors, Source, shown
from autoscaler.policy.scaling_policy import ScalingPolicy

Built = TypeVar("Built")


def policy_to_json(policy: ScalingPolicy) -> dict[str, object]:
    """Every field of `policy`, nested as in the dataclass, in a fixed order; `policy_from_json` reads it back."""
    return {field.name: _plain(getattr(policy, field.name)) for field in fields(policy)}


def policy_from_json(body: object, source: str = "policy") -> ScalingPolicy:
    """The policy that `policy_to_json` wrote. A field that is missing has its default, so that what an older version
    recorded can be read.

    Raises PolicyErrors, naming each field that is unknown, of the wrong type or out of bounds; `source` says where
    the object came from.
    """
    builder = _Builder(Source(source))
    policy = builder.build(ScalingPolicy, body, "")
    if policy is None:
        raise PolicyErrors(builder.errors)
    return policy


@cache
def _field_types(kind: Callable[..., object]) -> Mapping[str, Callable[..., object]]:
    """The fields of a dataclass and their types. What the interpreter makes of them by evaluating each annotation's
    text takes longer than all the rest, and a controller reads thousands of policies as it starts."""
    return get_type_hints(kind)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


class _Builder:
    """Builds a dataclass of dataclasses from JSON, collecting what is wrong."""

    def __init__(self, source: Source) -> None:
        self.errors: list[PolicyError] = []
        self._source = source

    def build(self, kind: Callable[..., Built], body: object, prefix: str) -> Built | None:
        """A `kind` with the fields in `body`, None when anything was wrong."""
        before = len(self.errors)
        if not isinstance(body, Mapping):
            self._wrong(prefix.removesuffix(".") or "policy", body, "is not an object")
            return None
        types = _field_types(kind)
        for name in body:
            if name not in types:
                self._wrong(f"{prefix}{name}", body[name], "is for a field that does not exist")
        values = {name: self._value(kind, body[name], prefix + name) for name, kind in types.items() if name in body}
        return kind(**values) if len(self.errors) == before else None

    def _value(self, kind: Callable[..., object], value: object, field: str) -> object:
        if is_dataclass(kind):
            return self.build(kind, value, field + ".")
        if keys.within_bounds(field, value):
            return kind(value)  # an Enum, int, float or bool; 60 and 60.0 are the same duration
        self._wrong(field, value, "is out of bounds or of the wrong type")
        return None

    def _wrong(self, field: str, value: object, message: str) -> None:
        self.errors.append(PolicyError(shown(field), shown(value), self._source, "", message))
