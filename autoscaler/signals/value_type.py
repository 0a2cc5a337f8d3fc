"""value_type: a dataclass that the type checker takes for frozen, and that costs no more than one that is not.

A frozen dataclass writes each field through `object.__setattr__`: a tenth of a microsecond each, ten times what a plain
one takes. One evaluation of one service makes more than a hundred such fields, so that most of a decision would be
spent on a guard that mypy already is. For what is made on every evaluation, and for nothing else.

Mypy is told that it is `dataclasses.dataclass`, and so is mypyc, which makes native classes of such (see compiled.txt).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value_type
else:

    def value_type(*, frozen):
        """A dataclass with equality and hash by value. Never assign to a field of one: mypy says where."""
        assert frozen

        def made(cls):
            # A native class has its fields in place already, and cannot be made anew with slots.
            interpreted = sys.modules[cls.__module__].__spec__.origin.endswith(".py")
            return dataclass(slots=interpreted, unsafe_hash=True)(cls)

        return made


__all__ = ["value_type"]
