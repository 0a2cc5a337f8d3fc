"""Setting: one key of the table with the value that somebody gave it, and where that stands."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.policy.errors import Source
from autoscaler.policy.key import Key
from autoscaler.policy.values import Value


@dataclass(frozen=True, slots=True)
class Setting:
    """One key with a value that may stand there.

    name          the spelling used
    text          what stands there
    of_a_profile  it comes from a profile and not from the object itself
    """

    key: Key
    name: str
    text: str
    value: Value
    source: Source
    of_a_profile: bool = False

    def __str__(self) -> str:
        return f'{self.name}: "{self.text}" ({self.source})'
