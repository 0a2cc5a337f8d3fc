"""Settings of policies as text: `hpa:target=0.5,metric=kv`. Each policy's settings are a frozen dataclass, whose fields
carry their bounds and one line for the reader, so that the command line, the help and the documentation cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TypeVar

from simulations.traces import notation
from simulations.traces.trace import TraceError


class PolicyError(ValueError):
    """A policy that cannot be: names the key, the value and what is allowed."""


class Kind(Enum):
    """How a value is written."""

    NUMBER = "number"
    WHOLE = "whole number"
    SECONDS = "time"
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: how its value is written, from what to what it may be, and what it means."""

    kind: Kind
    about: str
    least: float = 0.0
    most: float = math.inf


_SETTING = "setting"


def number(default: float, about: str, least: float = 0.0, most: float = 1e9) -> float:
    """A field for a number."""
    return field(default=default, metadata={_SETTING: Setting(Kind.NUMBER, about, least, most)})


def whole(default: int, about: str, least: int = 0, most: int = 1_000_000) -> int:
    """A field for a whole number."""
    return field(default=default, metadata={_SETTING: Setting(Kind.WHOLE, about, least, most)})


def seconds(default: float, about: str, least: float = 0.0) -> float:
    """A field for a time, in seconds."""
    return field(default=default, metadata={_SETTING: Setting(Kind.SECONDS, about, least)})


def word(about: str) -> Mapping[str, Setting]:
    """The metadata of a field for one of an enum's values, of which its default is one."""
    return {_SETTING: Setting(Kind.WORD, about)}


class Routing(Enum):
    """LEAST: the replica with most room, as the activator or a gateway for models does it; what nobody has room for is
    held; the same data path for all, so that policies differ in their decisions alone. RANDOM: kube-proxy's choice,
    with what nobody has room for waiting where it was sent."""

    LEAST = "least"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class BaseSettings:
    """What nearly every policy has.

    max_replicas 0: no maximum
    """

    min_replicas: int = whole(1, "never fewer replicas")
    max_replicas: int = whole(0, "never more replicas; 0: no maximum")
    routing: Routing = field(default=Routing.LEAST, metadata=word("who gets a request while replicas are ready"))

    def __post_init__(self) -> None:
        """Raises PolicyError for a maximum below the minimum."""
        if 0 < self.max_replicas < self.min_replicas:
            raise PolicyError(f"max-replicas {self.max_replicas} is less than min-replicas {self.min_replicas}")

    @property
    def in_path(self) -> bool:
        """Whether whoever balances by load is in the path while replicas are ready."""
        return self.routing is Routing.LEAST

    def within(self, replicas: int) -> int:
        """The nearest number that is allowed."""
        return max(self.min_replicas, min(replicas, self.max_replicas) if self.max_replicas else replicas)


S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is written, with its default as text."""

    name: str
    setting: Setting
    default: object

    @property
    def shown(self) -> str:
        """The default, as it would be written."""
        return _written(self.default, self.setting.kind)


def keys_of(settings: type) -> Iterator[Key]:
    """All keys of a settings class, in their order."""
    for each in fields(settings):
        setting = each.metadata.get(_SETTING)
        if isinstance(setting, Setting):
            yield Key(each.name.replace("_", "-"), setting, each.default)


def words_of(key: Key) -> Mapping[str, Enum]:
    """What may be written for a key of kind WORD, and what it means."""
    assert isinstance(key.default, Enum)
    return {str(member.value): member for member in type(key.default)}


def parse_settings(settings: type[S], text: str) -> S:
    """Settings from KEY=VALUE,KEY=VALUE…; keys that are not there keep their defaults. Raises PolicyError."""
    keys = {key.name: key for key in keys_of(settings)}
    try:
        given = notation.pairs(text)
    except TraceError as error:
        raise PolicyError(str(error)) from None
    for name in given:
        if name not in keys:
            raise PolicyError(f"{name!r:.40} is not a key; there are {', '.join(keys) or 'none'}")
    return settings(**{name.replace("-", "_"): _read(keys[name], value) for name, value in given.items()})


def canonical_settings(settings: object) -> str:
    """All keys with their values; the same text for the same settings."""
    kind = type(settings)
    return ",".join(
        f"{key.name}={_written(getattr(settings, key.name.replace('-', '_')), key.setting.kind)}"
        for key in keys_of(kind)
    )


def _read(key: Key, text: str) -> object:
    setting = key.setting
    if setting.kind is Kind.WORD:
        words = words_of(key)
        if text not in words:
            raise PolicyError(f"{key.name}={text:.40}: there are {', '.join(words)}")
        return words[text]
    value = _number_of(key, text)
    if not setting.least <= value <= setting.most:
        most = "" if math.isinf(setting.most) else f" to {setting.most:g}"
        raise PolicyError(f"{key.name}={text:.40}: it is {setting.least:g}{most or ' or more'}")
    if setting.kind is not Kind.WHOLE:
        return value
    if value != int(value):
        raise PolicyError(f"{key.name}={text:.40} is not a whole number")
    return int(value)


def _number_of(key: Key, text: str) -> float:
    try:
        return notation.seconds(text) if key.setting.kind is Kind.SECONDS else float(text)
    except TraceError as error:
        raise PolicyError(f"{key.name}: {error}") from None
    except ValueError:
        raise PolicyError(f"{key.name}={text:.40} is not a number") from None


def _written(value: object, kind: Kind) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    return f"{value:g}s" if kind is Kind.SECONDS else f"{value:g}"
