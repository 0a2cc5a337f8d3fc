"""value_type: a dataclass that the type checker takes for frozen, and that costs no more than one that is not.

A frozen dataclass writes each field through `object.__setattr__`: a tenth of a microsecond each, ten times what a plain
one takes. One evaluation of one service makes more than a hundred such fields, so that most of a decision would be
spent on a guard that mypy already is. For what is made on every evaluation, and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Made = TypeVar("Made")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_type(cls: type[Made]) -> type[Made]:
    """A dataclass with slots, equality and hash by value. Never assign to a field of one: mypy says where."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
