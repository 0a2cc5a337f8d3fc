"""Editor: collects edits and the record of them while it looks at the object as it will be."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from admission.edits import Edit, Operation, Path, apply_edit, child, dotted, parent_of
from admission.record import Entry
from autoscaler.policy.errors import shown
from autoscaler.serving.fields import FieldError


class Editor:
    """`document` is a copy and has every edit so far."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self.document: dict[str, object] = copy.deepcopy(dict(document))
        self.edits: list[Edit] = []
        self.entries: list[Entry] = []

    def get(self, path: Path) -> object:
        """What stands at `path` now; None when nothing does, or null."""
        inner: object = self.document
        for step in path:
            try:
                inner = child(inner, step)
            except (LookupError, TypeError):
                return None
        return inner

    def put(self, path: Path, value: object) -> None:
        """Put `value` where nothing or something else stands; mappings around it are made where they are missing.

        Raises FieldError when something else than a mapping is around it.
        """
        depth = next((n for n in range(1, len(path)) if self.get(path[:n]) is None), len(path))
        for step in reversed(path[depth:]):
            value = {step: value}
        place = path[:depth]
        parent = parent_of(self.document, place)
        if not isinstance(parent, Mapping):
            raise FieldError(f"{dotted(place[:-1])} must be an object, not {shown(parent)}")
        had_before = place[-1] in parent
        before = parent[place[-1]] if had_before else None
        self.edit(Edit(Operation.REPLACE if had_before else Operation.ADD, place, value))
        self.entries.append(Entry(self._named(place), value, had_before, before))

    def edit(self, edit: Edit) -> None:
        """Make one edit that the record has no part in."""
        apply_edit(parent_of(self.document, edit.path), edit.path[-1], edit)
        self.edits.append(edit)

    def _named(self, path: Path) -> tuple[str, ...]:
        """The path with containers by their names, as they are after the edit."""
        steps: list[str] = []
        for length, step in enumerate(path, start=1):
            inner = self.get(path[:length])
            name = inner.get("name") if isinstance(step, int) and isinstance(inner, Mapping) else None
            steps.append(str(name) if isinstance(step, int) else step)
        return tuple(steps)
