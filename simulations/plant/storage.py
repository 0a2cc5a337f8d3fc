"""Collections of records: structured arrays for the compiled core, lists of objects for the plain one. Both grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSequence, Sequence
from dataclasses import astuple, fields
from functools import partial
from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RecordT = TypeVar("RecordT", bound="DataclassInstance")


def dtype_of(kind: type[DataclassInstance]) -> np.dtype[np.void]:
    """The layout of a record: eight bytes for each field, as it is annotated."""
    codes = {"float": "f8", "int": "i8"}
    return np.dtype([(field.name, codes[str(field.type)]) for field in fields(kind)])


def records(kind: Callable[[], RecordT], count: int, *, compiled: bool) -> Sequence[RecordT]:
    """`count` records with the defaults of their fields."""
    if not compiled:
        return [kind() for _ in range(count)]
    array = np.empty(count, dtype_of(cast("type[DataclassInstance]", kind)))
    array[:] = astuple(kind())
    return cast("Sequence[RecordT]", array)


def grown(kind: Callable[[], RecordT], old: Sequence[RecordT], count: int) -> Sequence[RecordT]:
    """The same records and further ones, `count` in all. A list grows in place."""
    if isinstance(old, list):
        old.extend(kind() for _ in range(count - len(old)))
        return old
    array = records(kind, count, compiled=True)
    cast("np.ndarray[tuple[int], np.dtype[np.void]]", array)[: len(old)] = cast("np.ndarray[tuple[int]]", old)
    return array


def objects(kind: Callable[..., RecordT], collection: Sequence[RecordT]) -> list[RecordT]:
    """The records as objects, to read them outside of the core."""
    if isinstance(collection, list):
        return collection
    return [kind(*row) for row in cast("np.ndarray[tuple[int]]", collection).tolist()]


def chain(collection: Sequence[object], name: str, first: int, end: int, then: int) -> None:
    """Let each record from `first` up to below `end` name the next one in this field, and the last one `then`."""
    if isinstance(collection, list):
        for i, after in zip(range(first, end), [*range(first + 1, end), then], strict=True):
            setattr(collection[i], name, after)
        return
    links = cast("np.ndarray[tuple[int], np.dtype[np.void]]", collection)[name]
    links[first:end] = np.arange(first + 1, end + 1)
    links[end - 1] = then


class Cells:
    """Single numbers of a collection that never grows, for Python beside the core: numpy takes ten times as long."""

    __slots__ = ("_columns", "_plain", "_width")

    def __init__(self, kind: type[DataclassInstance], collection: Sequence[object]) -> None:
        """Of records of this kind."""
        self._plain = collection if isinstance(collection, list) else None
        self._width = len(fields(kind))
        self._columns: dict[str, MutableSequence[float]] = {}
        if self._plain is None:
            whole = _bytes(collection)
            views: dict[str, memoryview[float] | memoryview[int]]
            views = {"float": whole.cast("d"), "int": whole.cast("q")}
            self._columns = {
                field.name: cast("MutableSequence[float]", views[str(field.type)][place:])
                for place, field in enumerate(fields(kind))
            }

    def read(self, name: str, index: int = 0) -> float:
        """One number. Raises KeyError."""
        if self._plain is not None:
            return cast("float", getattr(self._plain[index], name))
        return self._columns[name][index * self._width]

    def write(self, name: str, value: float, index: int = 0) -> None:
        """Change it; `value` is whole where the field is. Raises KeyError."""
        if self._plain is not None:
            setattr(self._plain[index], name, value)
        else:
            self._columns[name][index * self._width] = value


def read_one(kind: type[DataclassInstance], collection: Sequence[object]) -> Callable[[], tuple[float, ...]]:
    """Reads the first record as a tuple of its fields, as numbers of Python's; for collections that never grow."""
    if isinstance(collection, list):
        fields_of = attrgetter(*_names(kind))
        return lambda: cast("tuple[float, ...]", fields_of(collection[0]))
    return partial(Struct(_layout(kind)).unpack_from, _bytes(collection))


def read_many(
    kind: type[DataclassInstance], collection: Sequence[object]
) -> Callable[[int], Iterable[tuple[float, ...]]]:
    """Likewise the first so many records."""
    if isinstance(collection, list):
        fields_of = attrgetter(*_names(kind))
        return lambda count: map(fields_of, collection[:count])
    layout, place = Struct(_layout(kind)), _bytes(collection)
    unpack, size = layout.iter_unpack, layout.size
    return lambda count: unpack(place[: count * size])


def _names(kind: type[DataclassInstance]) -> list[str]:
    return [field.name for field in fields(kind)]


def _layout(kind: type[DataclassInstance]) -> str:
    return "=" + "".join("d" if field.type == "float" else "q" for field in fields(kind))


def _bytes(collection: Sequence[object]) -> memoryview:
    return cast("np.ndarray[tuple[int], np.dtype[np.void]]", collection).view(np.uint8).data


def integers(count: int, *, compiled: bool) -> MutableSequence[int]:
    """Whole numbers, all 0."""
    return cast("MutableSequence[int]", np.zeros(count, np.int64) if compiled else [0] * count)


def numbers(count: int, *, compiled: bool) -> MutableSequence[float]:
    """Numbers, all 0."""
    return cast("MutableSequence[float]", np.zeros(count, np.float64) if compiled else [0.0] * count)
