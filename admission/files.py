"""Files of manifests: each InferenceService in them changed, everything else left as it is, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from admission.edits import Edit, Path, edited
from admission.inject import Injection, Refusals
from admission.yaml_text import YamlEditError, edit_text
from autoscaler.policy.errors import PolicyError, Source, SourceMap, shown
from autoscaler.policy.profiles import CONFIG_MAP, NO_PROFILES, Profiles, read_profiles
from autoscaler.policy.settings import name_of
from autoscaler.policy.yaml_documents import Document, read_documents

Change = Callable[[Mapping[str, object], SourceMap], Injection | Refusals]

_RUNTIMES = ("ServingRuntime", "ClusterServingRuntime")
_LISTS = ("List", "InferenceServiceList")


@dataclass(frozen=True, slots=True)
class ObjectInFile:
    """One object: the number of its document, and where it stands in there (an item of a list, or the whole)."""

    document: int
    path: Path
    body: Mapping[str, object]
    source_map: SourceMap

    @property
    def kind(self) -> str:
        """What it says it is."""
        return str(self.body.get("kind"))


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file that was read. `errors` are about its YAML; with any, nothing in it should be changed."""

    name: str
    text: str
    objects: tuple[ObjectInFile, ...]
    errors: tuple[PolicyError, ...]

    @property
    def runtimes(self) -> tuple[Mapping[str, object], ...]:
        """The ServingRuntimes and ClusterServingRuntimes in it."""
        return tuple(found.body for found in self.objects if found.kind in _RUNTIMES)

    @property
    def profiles(self) -> Profiles:
        """Those of the ConfigMap in it, none without one."""
        for found in self.objects:
            metadata = found.body.get("metadata")
            name = metadata.get("name") if isinstance(metadata, Mapping) else None
            if found.kind == "ConfigMap" and name == CONFIG_MAP:
                return read_profiles(found.body, found.source_map)
        return NO_PROFILES


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """The text with the changes, lines for a person, and why some of it could not be changed."""

    text: str
    remarks: tuple[str, ...]
    errors: tuple[PolicyError, ...]


def read_file_content(name: str, text: str) -> FileContent:
    """Every object in `text`; `name` is the file's, for messages."""
    objects: list[ObjectInFile] = []
    errors: list[PolicyError] = []
    for number, document in enumerate(read_documents(text)):
        errors += [
            PolicyError(shown(flaw.key), "", Source(name, flaw.line), "", shown(flaw.message, 300))
            for flaw in document.flaws
        ]
        objects.extend(_objects(name, number, document))
    return FileContent(name, text, tuple(objects), tuple(errors))


def change_file(content: FileContent, change: Change) -> ChangedFile:
    """Apply `change` to every InferenceService in a file."""
    text = content.text
    remarks: list[str] = []
    errors: list[PolicyError] = list(content.errors)
    if errors:
        return ChangedFile(text, (), tuple(errors))
    for found in content.objects:
        if found.kind != "InferenceService":
            continue
        result = change(found.body, found.source_map)
        if isinstance(result, Refusals):
            errors.extend(result.reasons)
            continue
        where = found.source_map.where(())
        remarks += [f"{where}: {name_of(found.body)}: {remark}" for remark in result.remarks]
        try:
            text = _edited(text, found, result.edits)
        except YamlEditError as error:
            errors.append(PolicyError("", "", where, "", str(error)))
    return ChangedFile(text, tuple(remarks), tuple(errors))


def _edited(text: str, found: ObjectInFile, edits: Sequence[Edit]) -> str:
    placed = [Edit(edit.operation, (*found.path, *edit.path), edit.value) for edit in edits]
    changed = edit_text(text, found.document, placed)
    # YAML has corners that no one thinks of; what would mean something else than was asked for is not written.
    meant = edited(found.body, edits)
    document = list(read_documents(changed))[found.document]
    if document.flaws or _at(document.value, found.path) != meant:
        raise YamlEditError("cannot be edited in place; write it in plain block style")
    return changed


def _at(value: object, path: Path) -> object:
    for step in path:
        if isinstance(value, Mapping) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
    return value


def _objects(name: str, number: int, document: Document) -> Iterator[ObjectInFile]:
    body = document.value
    if not isinstance(body, Mapping):
        return
    items = body.get("items")
    if body.get("kind") not in _LISTS or not isinstance(items, list):
        yield ObjectInFile(number, (), body, SourceMap(name, document.lines))
        return
    for index, item in enumerate(items):
        if isinstance(item, Mapping):
            prefix = ("items", index)
            lines = {path[2:]: line for path, line in document.lines.items() if path[:2] == prefix}
            yield ObjectInFile(number, prefix, item, SourceMap(name, lines))
