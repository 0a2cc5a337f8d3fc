"""The record: what an injection put into an object besides the sidecar, kept with the sidecar, so that exactly that can
be taken out again.

It is a variable in the sidecar's own environment, because then the two can only be lost together. Containers are named
in it, not numbered: others may come and go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from admission.edits import Edit, Operation, Path

VARIABLE = "PILOTLIGHT_INJECTED"

NamedPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was put in: where, what, and what stood there before; `had_before` tells null from nothing."""

    path: NamedPath
    value: object
    had_before: bool = False
    before: object = None


class RecordError(ValueError):
    """The record is not one that an injection has written: says what is wrong with it."""


def written(entries: Sequence[Entry]) -> str:
    """The record as the variable's text."""
    rows = [[list(e.path), e.value, *([e.before] if e.had_before else [])] for e in entries]
    return json.dumps(rows, separators=(",", ":"))


def read(text: str) -> tuple[Entry, ...]:
    """The entries of `written`. Raises RecordError."""
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{VARIABLE} is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise RecordError(f"{VARIABLE} is not a list")
    return tuple(map(_entry, rows))


def undone(document: Mapping[str, object], entries: Sequence[Entry]) -> Iterator[Edit | str]:
    """The edits that take the entries out of `document` again, the last one first, each to be applied before the next
    is asked for; and a line for each that stays because somebody has changed it since."""
    for entry in reversed(entries):
        place = _place(document, entry.path)
        if place is None:
            continue
        path, current = place
        if entry.had_before:
            if current == entry.value:
                yield Edit(Operation.REPLACE, path, entry.before)
            else:
                yield _stays(entry.path)
            continue
        yield from _without(path, entry.path, current, entry.value)


def _without(path: Path, named: NamedPath, current: object, value: object) -> Iterator[Edit | str]:
    """Take `value` away from `current`, which stands at `path`."""
    if current == value:
        yield Edit(Operation.REMOVE, path)
    elif isinstance(current, Mapping) and isinstance(value, Mapping):
        for name in value:
            if name in current:
                yield from _without((*path, name), (*named, name), current[name], value[name])
        if not current:
            yield Edit(Operation.REMOVE, path)
    else:
        yield _stays(named)


def _stays(path: NamedPath) -> str:
    return f"{'.'.join(path)} stays: it has been changed since it was put in"


def _place(document: object, path: NamedPath) -> tuple[Path, object] | None:
    """Where `path` leads now, with its containers looked up by name; None when that is no more."""
    inner = document
    steps: list[str | int] = []
    for step in path:
        if isinstance(inner, list):
            index = next((i for i, c in enumerate(inner) if isinstance(c, Mapping) and c.get("name") == step), None)
            if index is None:
                return None
            steps.append(index)
            inner = inner[index]
        elif isinstance(inner, Mapping) and step in inner:
            steps.append(step)
            inner = inner[step]
        else:
            return None
    return tuple(steps), inner


def _entry(row: object) -> Entry:
    if not isinstance(row, list) or len(row) not in (2, 3) or not isinstance(row[0], list):
        raise RecordError(f"{VARIABLE} has an entry that is not [path, value] or [path, value, before]")
    path = tuple(step for step in row[0] if isinstance(step, str))
    if len(path) != len(row[0]) or path[:2] not in (("metadata", "annotations"), ("spec", "predictor")):
        raise RecordError(f"{VARIABLE} has an entry for a place where nothing is ever put in")
    return Entry(path, row[1], len(row) == 3, row[2] if len(row) == 3 else None)
