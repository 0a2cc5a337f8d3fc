"""Key: what the table says of one annotation or spec field.

Everything that reads policies, checks them or describes them works from these entries, so a key that is in the table
is parsed, checked and documented, and one that is not does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from autoscaler.policy.values import Kind

SEMANTICS = "semantics"
PANIC_WINDOW_SECONDS = "panic_window_seconds"
OUR_DOMAIN = "pilotlight.dev/"


class Vocabulary(IntEnum):
    """Whose words a key is written in, first the one that is named when several say the same."""

    PILOTLIGHT = 0
    KNATIVE = 1
    KSERVE = 2
    SPEC = 3


@dataclass(frozen=True, slots=True)
class Key:
    """One annotation, or one field of `spec.predictor`.

    name       the whole key of the annotation, or the path of the field
    vocabulary whose word it is
    kind       how its value is written, and its bounds
    field      the ScalingPolicy field it sets, dotted for a nested one; "" when it is only checked. SEMANTICS and
               PANIC_WINDOW_SECONDS are no fields: other fields follow from them
    default    what applies when nobody says anything, written as a value; "" when that depends on other keys
    otherwise  the default in words, where it depends on other keys
    help       one line for a user
    unit       what its number counts, where the value does not say so
    spellings  older names with the same meaning
    """

    name: str
    vocabulary: Vocabulary
    kind: Kind
    field: str
    default: str
    help: str
    unit: str = ""
    spellings: tuple[str, ...] = ()
    otherwise: str = ""

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        return f"{self.kind.allowed} ({self.unit})" if self.unit else self.kind.allowed

    @property
    def path(self) -> tuple[str, ...]:
        """Where a spec field stands in the object."""
        return tuple(self.name.split("."))


def our_key(name: str, kind: Kind, field: str, default: str, help_: str, *, unit: str = "", otherwise: str = "") -> Key:
    """An annotation of our own, named without our domain."""
    return Key(OUR_DOMAIN + name, Vocabulary.PILOTLIGHT, kind, field, default, help_, unit, otherwise=otherwise)
