"""Names of services, as a file has them, and the numbers that requests carry in their place."""

from __future__ import annotations

from itertools import repeat
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulations.traces.source import BadRows
from simulations.traces.trace import MOST_SERVICES, Ints, TraceError

_Mask: TypeAlias = NDArray[np.bool_]
_NEW = -2


class Services:
    """Names in the order in which they were first seen."""

    def __init__(self, bad: BadRows) -> None:
        self._bad = bad
        self._index: dict[bytes, int] = {}
        self.names: list[str] = []

    def indexes(self, names: list[bytes], lines: NDArray[np.int64], good: _Mask) -> Ints:
        """The numbers of many names; −1 for what is not good or cannot be a name. Raises TraceError."""
        found = np.array(list(map(self._index.get, names, repeat(_NEW))), np.int32)
        for row in np.flatnonzero((found == _NEW) & good).tolist():
            found[row] = self.index(names[row], int(lines[row]))
        return np.maximum(found, -1)

    def index(self, raw: bytes, line: int) -> int:
        """The number of this name; −1 for one that cannot be a name. Raises TraceError when there are too many."""
        known = self._index.get(raw)
        if known is not None:
            return known
        name = raw.decode(errors="replace").strip()
        if not name or not name.isprintable():
            self._bad.bad(line, f"the service is {name!r:.80}; printable text is needed")
            return -1
        if len(self.names) == MOST_SERVICES:
            raise TraceError(f"{self._bad.name}:{line}: more than {MOST_SERVICES} services")
        self._index[raw] = len(self.names)
        self.names.append(name)
        return self._index[raw]
