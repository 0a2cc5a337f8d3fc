"""Edits: what an injection changes, as data, so that a webhook can send them and a file's comments can survive them.

They are JSON Patch's operations (RFC 6902) with paths as tuples. Every edit states a place whose parent exists when it
is applied, in order.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

Path = tuple[str | int, ...]


class Operation(Enum):
    """What is done: ADD puts in (into a list: before what is there), or replaces a mapping's value."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Edit:
    """One operation at one place; `value` is JSON, and means nothing for REMOVE."""

    operation: Operation
    path: Path
    value: object = None


def json_patch(edits: Sequence[Edit]) -> list[dict[str, object]]:
    """The edits as a JSON Patch."""
    return [_operation(edit) for edit in edits]


def edited(document: Mapping[str, object], edits: Sequence[Edit]) -> dict[str, object]:
    """A copy of `document` with the edits. Raises LookupError where a place does not exist."""
    result = copy.deepcopy(dict(document))
    for edit in edits:
        apply_edit(parent_of(result, edit.path), edit.path[-1], edit)
    return result


def parent_of(document: object, path: Path) -> object:
    """The mapping or list in which the last step of `path` stands."""
    inner = document
    for step in path[:-1]:
        inner = child(inner, step)
    return inner


def child(parent: object, step: str | int) -> object:
    """What stands at `step` of a mapping or list. Raises LookupError."""
    if isinstance(parent, Mapping):
        return parent[step]
    if isinstance(parent, list) and isinstance(step, int):
        return parent[step]
    raise LookupError(f"nothing can stand at {step!r} here")


def apply_edit(parent: object, step: str | int, edit: Edit) -> None:
    """Carry out `edit` at `step` of `parent`, in place."""
    value = copy.deepcopy(edit.value)
    if isinstance(parent, dict):
        if edit.operation is Operation.REMOVE:
            del parent[step]
        else:
            parent[step] = value
    elif isinstance(parent, list) and isinstance(step, int):
        if edit.operation is Operation.REMOVE:
            del parent[step]
        elif edit.operation is Operation.REPLACE:
            parent[step] = value
        else:
            parent.insert(step, value)
    else:
        raise LookupError(f"nothing can stand at {step!r} here")


def dotted(path: Path) -> str:
    """A path as people write it: `spec.predictor.containers[0].name`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _operation(edit: Edit) -> dict[str, object]:
    body: dict[str, object] = {"op": edit.operation.value, "path": "".join(f"/{_escaped(step)}" for step in edit.path)}
    if edit.operation is not Operation.REMOVE:
        body["value"] = edit.value
    return body


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")
