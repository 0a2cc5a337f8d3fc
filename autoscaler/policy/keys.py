"""The table of every key that a policy is read from: its parts put together, and how to find a key in it."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable

from autoscaler.policy import keys_knative, keys_kserve, keys_pilotlight
from autoscaler.policy.amounts import Number
from autoscaler.policy.key import Key
from autoscaler.policy.values import Kind
from autoscaler.policy.words import Boolean

ANNOTATIONS: tuple[Key, ...] = keys_pilotlight.KEYS + keys_knative.KEYS + keys_kserve.ANNOTATIONS
FIELDS: tuple[Key, ...] = keys_kserve.FIELDS
ALL: tuple[Key, ...] = ANNOTATIONS + FIELDS

# A key of these domains that is not in the table is a mistake: what it asks for would silently not happen.
CLOSED_DOMAINS = (keys_pilotlight.DOMAIN, keys_knative.DOMAIN)

_BY_NAME = {name: key for key in ANNOTATIONS for name in (key.name, *key.spellings)}


def annotation(name: str) -> Key | None:
    """The key that an annotation is called, in any of its spellings; None when the table has no such annotation."""
    return _BY_NAME.get(name)


def nearest(name: str) -> str | None:
    """The known annotation of the same domain that `name` was probably meant to be."""
    domain, _, word = name[:200].partition("/")
    words = [known.partition("/")[2] for known in _BY_NAME if known.startswith(domain + "/")]
    close = difflib.get_close_matches(word.lower(), words, n=1)
    return f"{domain}/{close[0]}" if close else None


@functools.lru_cache(maxsize=1024)
def misspelt_field(name: str) -> str | None:
    """The field of the predictor that `name` is, but for case, dashes or a letter; None where it is one, or another."""
    if name in _FIELD_NAMES.values():
        return None
    close = difflib.get_close_matches(_plain(name[:200]), _FIELD_NAMES, n=1, cutoff=0.9)
    return _FIELD_NAMES[close[0]] if close else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


_FIELD_NAMES = {_plain(key.path[-1]): key.path[-1] for key in FIELDS}


def within_bounds(field: str, value: object) -> bool:
    """Whether some key could have given `field` this value."""
    return any(kind.holds(value) for kind in _kinds_of(field))


def _kinds_of(field: str) -> Iterable[Kind]:
    if field == "panic_window_fraction":
        # Ours is written in seconds, so the fraction follows from two keys: at the least a second of an hour.
        yield Number(0, 1, exclusive=True)
    if field == "asleep_at_first":
        yield Boolean()  # follows from an initial scale that is said to be 0
    yield from (key.kind for key in ALL if key.field == field)
