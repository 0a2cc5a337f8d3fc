"""Documents of a YAML file: plain values as Kubernetes would read them, the line of each key, and what is wrong.

One document with a mistake does not hide the next one's. Only text that is no YAML at all ends the reading, because
nobody knows what the rest would have been.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoscaler.policy.errors import KeyPath
from autoscaler.policy.yaml_nodes import DEEPEST, ListNode, MapNode, Node, ScalarNode, YamlError, read_nodes

# Aliases repeat what they stand for. A few lines of them can stand for more than any memory holds, so what counts is
# how many values there are after every alias was followed.
_MOST_VALUES = 50_000

_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"([-+]?)(0x[0-9a-fA-F_]+|0b[01_]+|0o?[0-7_]+|[0-9_]+)")
_LONGEST_NUMBER = 64
_MOST_MERGES = 16
_MOST_FLAWS = 100


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong in the YAML itself: the line, the key it concerns ("" if none), and what."""

    line: int
    key: str
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `value` is made of dicts with text keys, lists, texts, numbers, booleans and None; `lines` has the
    line of each key and list item. With flaws, `value` is as much as could be read."""

    value: object
    line: int
    lines: Mapping[KeyPath, int]
    flaws: tuple[Flaw, ...]


def read_documents(text: str) -> Iterator[Document]:
    """The documents of `text`; where it stops being YAML, the last one has no value and says why."""
    try:
        for node in read_nodes(text):
            yield _Reader().document(node)
    except YamlError as error:
        yield Document(None, error.line, {}, (Flaw(error.line, "", error.message),))


class _Reader:
    """Turns the nodes of one document into values."""

    def __init__(self) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._flaws: list[Flaw] = []
        self._values = 0
        self._merging = 0

    def document(self, root: Node) -> Document:
        """The document whose root is `root`."""
        value: object = None
        try:
            value = self._value(root, ())
        except YamlError as error:
            self._flaws.append(Flaw(error.line, "", error.message))
        return Document(value, root.line, self._lines, tuple(self._flaws))

    def _flaw(self, line: int, key: str, message: str) -> None:
        self._flaws.append(Flaw(line, key, message))
        if len(self._flaws) >= _MOST_FLAWS:
            raise YamlError(line, "the rest of this document was not read: enough is wrong already")

    def _value(self, node: Node, path: KeyPath) -> object:
        self._count(node)
        if len(path) > DEEPEST:
            raise YamlError(node.line, f"nested more than {DEEPEST} levels deep")
        self._lines.setdefault(path, node.line)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, ListNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.items)]
        return self._mapping(node, path)

    def _count(self, node: Node) -> None:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise YamlError(node.line, f"more than {_MOST_VALUES} values once its aliases are followed")

    def _mapping(self, node: MapNode, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        merged: list[Node] = []
        for key, value in node.pairs:
            if isinstance(key, ScalarNode) and key.tag == "merge":
                merged.extend(value.items if isinstance(value, ListNode) else [value])
            elif not isinstance(key, ScalarNode):
                self._flaw(key.line, "", "a key must be text")
            elif key.text in values:
                first = self._lines[(*path, key.text)]
                self._flaw(key.line, key.text, f"stands here a second time; the first is in line {first}")
            else:
                self._lines.setdefault((*path, key.text), key.line)
                values[key.text] = self._value(value, (*path, key.text))
        for source in merged:
            self._merge(source, path, values)
        return values

    def _merge(self, source: Node, path: KeyPath, values: dict[str, object]) -> None:
        """Add what `<<` brings in; what is written out counts more."""
        if not isinstance(source, MapNode):
            self._flaw(source.line, "<<", "can only bring in mappings")
            return
        # Merges nest without the path getting longer, and an empty one adds no value, so both bounds need a hand here.
        self._count(source)
        if self._merging >= _MOST_MERGES:
            raise YamlError(source.line, f"<< within << more than {_MOST_MERGES} times")
        self._merging += 1
        for key, value in self._mapping(source, path).items():
            values.setdefault(key, value)
        self._merging -= 1

    def _scalar(self, node: ScalarNode, path: KeyPath) -> object:
        try:
            return _plain(node.text, node.tag)
        except (ValueError, OverflowError):
            key = str(path[-1]) if path else ""
            self._flaw(node.line, key, f"is not a {node.tag} that can be read")
            return None


def _plain(text: str, tag: str) -> object:
    """The value that `text` means under `tag`. Raises ValueError."""
    if tag == "null":
        return None
    if tag == "bool":
        return _boolean(text)
    if len(text) > _LONGEST_NUMBER and tag in ("int", "float"):
        raise ValueError
    if tag == "int":
        return _integer(text)
    if tag == "float":
        return _float(text)
    return text  # dates too: JSON knows none, so Kubernetes takes them for text


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text.lower()]


def _float(text: str) -> float | str:
    if ":" in text:  # as in _integer
        return text
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


def _integer(text: str) -> int | str:
    if ":" in text:  # YAML 1.1 takes 1:30 for ninety; Kubernetes takes it for text
        return text
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise ValueError
    digits = match[2].replace("_", "")
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] not in "xbo"
    number = int(digits, 8 if octal else 0)
    return -number if match[1] == "-" else number
