"""The core in two forms: as it is written, and compiled by numba where that is installed. Both give the same bits.

The functions of `core` call each other by name. Compiled, those names have to mean the compiled ones; so each function
is given a namespace of its own making, in which they do, and the originals stay as they are.

Compiled code is kept on disk, in a folder whose name depends on the sources, so that an older version's is never taken
for this one's. Where no such folder can be written, it is compiled anew in each process, which takes some seconds.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Protocol, cast

import numpy as np

from simulations.plant import codes, records, service_record, work_records
from simulations.plant.core import advance as _advance
from simulations.plant.core import tell as _tell
from simulations.plant.records import State

_MODULES = (
    "draws",
    "events",
    "areas",
    "ready",
    "refusals",
    "engine",
    "ledger",
    "hold",
    "requests",
    "nodes",
    "start",
    "life",
    "advance",
    "tell",
)


class Core(Protocol):
    """The entries of the core. `compiled`: its collections are structured arrays; else lists of records."""

    compiled: bool

    def advance(self, p: State, until: float) -> int: ...
    def order(self, p: State, s: int, wanted: int) -> None: ...
    def have_ready(self, p: State, s: int, count: int) -> None: ...
    def look_at_all(self, p: State) -> None: ...
    def tell(self, p: State, s: int, after_work: int, after_held: int, heard: float, urgent: int) -> int: ...


class PlainCore:
    """The core as it is written."""

    compiled = False
    advance = staticmethod(_advance.advance)
    order = staticmethod(_advance.order_at)
    have_ready = staticmethod(_tell.have_ready)
    look_at_all = staticmethod(_advance.look_at_all)
    tell = staticmethod(_tell.tell)


def can_compile() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


class CompiledCore:
    """The compiled core: the same entries, for a State of arrays. Raises ImportError without numba."""

    compiled = True

    def __init__(self) -> None:
        self._entries = _compiled_entries()
        self._advance, self._tell = self._entries["advance"], self._entries["tell"]
        self._seen: State | None = None
        self._table = np.zeros(len(State._fields), np.int64)
        self._address = self._table.ctypes.data

    def advance(self, p: State, until: float) -> int:
        return self._advance(self._address if p is self._seen else self._at(p), until)

    def order(self, p: State, s: int, wanted: int) -> None:
        self._entries["order_at"](self._at(p), s, wanted)

    def have_ready(self, p: State, s: int, count: int) -> None:
        self._entries["have_ready"](self._at(p), s, count)

    def look_at_all(self, p: State) -> None:
        self._entries["look_at_all"](self._at(p))

    def tell(self, p: State, s: int, after_work: int, after_held: int, heard: float, urgent: int) -> int:
        address = self._address if p is self._seen else self._at(p)
        return self._tell(address, s, after_work, after_held, heard, urgent)

    def _at(self, p: State) -> int:
        """Where compiled code finds the collections. They are kept alive by the State that is remembered."""
        if p is not self._seen:
            self._table[:] = [address_of(collection) for collection in p]
            self._seen = p
        return self._address


def address_of(collection: Sequence[object]) -> int:
    """Where the data of an array are."""
    return cast("np.ndarray[tuple[int]]", collection).ctypes.data


def plain_core() -> Core:
    """The core as it is written."""
    return PlainCore()


def compiled_core() -> Core:
    """The compiled core, one for each plant: it remembers where that one's collections are."""
    return CompiledCore()


@lru_cache(maxsize=1)
def _compiled_entries() -> dict[str, Callable[..., int]]:
    numba = importlib.import_module("numba")
    config = vars(importlib.import_module("numba.core.config"))
    modules = [importlib.import_module(f"simulations.plant.core.{name}") for name in _MODULES]
    own_types = importlib.import_module("simulations.plant.compiled_types")
    entries = importlib.import_module("simulations.plant.entries")
    folder = _cache_folder([*modules, own_types, entries], f"{numba.__version__} {np.__version__} {sys.version}")
    before = config["CACHE_DIR"]
    config["CACHE_DIR"] = "" if folder is None else str(folder)
    try:
        names = _compiled_names([*modules, entries], vars(own_types), numba.njit, cache=folder is not None)
    finally:
        config["CACHE_DIR"] = before
    entry_names = ("advance", "order_at", "have_ready", "look_at_all", "tell")
    return {name: cast("Callable[..., int]", names[f"{name}_at_address"]) for name in entry_names}


def _compiled_names(
    modules: list[ModuleType],
    more: dict[str, object],
    njit: Callable[..., Callable[[FunctionType], object]],
    *,
    cache: bool,
) -> dict[str, object]:
    names: dict[str, object] = {}
    functions: list[FunctionType] = []
    for module in modules:
        for name, value in vars(module).items():
            names.setdefault(name, value)
            if isinstance(value, FunctionType) and value.__module__ == module.__name__ and name not in more:
                functions.append(value)
    names["as_state"] = more["as_state"]
    for function in functions:
        copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
        copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
        names[function.__name__] = njit(cache=cache, error_model="numpy")(copy)
    return names


def _cache_folder(modules: list[ModuleType], version: str) -> Path | None:
    """A folder for compiled code that can be written and belongs to us; None when there is none."""
    digest = hashlib.sha256(version.encode())
    for module in (codes, records, service_record, work_records, *modules):
        digest.update(Path(cast("str", module.__file__)).read_bytes())
    try:
        base = os.environ.get("PILOTLIGHT_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        folder = Path(base) / "pilotlight" / f"plant-{digest.hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            return None  # what lies there is run: it must not be somebody else's
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return None
