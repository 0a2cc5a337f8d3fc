"""YAML text to nodes with lines, with bounds that hostile text cannot get around.

PyYAML's own loader recurses as deep as the text does, builds Python objects for tags, keeps the last of two equal keys
without a word, and forgets where anything stood. So only its event stream is used, which is a flat loop: nodes are put
together here, nested to a bounded depth, tags other than those of JSON are refused, and every node knows its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from autoscaler.policy.errors import shown

DEEPEST = 64

_MOST_EVENTS = 100_000
_CORE = "tag:yaml.org,2002:"
# JSON's way to write 1000, which YAML 1.1 takes for text and Kubernetes for a number.
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]{1,3}")
_TAGS = {None, "!", *(_CORE + name for name in ("str", "int", "float", "bool", "null", "map", "seq"))}


@dataclass(slots=True)
class ScalarNode:
    """A single value: its text, and the tag that says what the text means."""

    line: int
    text: str
    tag: str


@dataclass(slots=True)
class ListNode:
    """A list of nodes."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MapNode:
    """Pairs of nodes, in the order of the file, equal keys included."""

    line: int
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    key: Node | None = None  # while it is being read: the key whose value comes next


Node = ScalarNode | ListNode | MapNode


class YamlError(Exception):
    """The text is not YAML that we read: `line`, and what is wrong there."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read_nodes(text: str) -> Iterator[Node]:
    """The root node of each document in `text`. Raises YamlError at the first thing that cannot be read; documents
    before it have been yielded."""
    composer = _Composer()
    try:
        for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            if count > _MOST_EVENTS:
                raise YamlError(_line(event), "more values than any manifest has")
            root = composer.take(event)
            if root is not None:
                yield root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, _why(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, f"the character U+{ord(text[error.position]):04X} may not stand in YAML") from None


class _Composer:
    """Puts the nodes of one document after the other together from events."""

    def __init__(self) -> None:
        self._open: list[tuple[ListNode | MapNode, str | None]] = []
        self._anchors: dict[str, Node] = {}
        self._resolver = yaml.SafeLoader("")

    def take(self, event: yaml.Event) -> Node | None:
        """Take the next event; returns the document's root when that is complete."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._anchors = {}
        elif isinstance(event, yaml.AliasEvent):
            return self._complete(self._alias(event), None)
        elif isinstance(event, yaml.ScalarEvent):
            return self._complete(self._scalar(event), event.anchor)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            return self._complete(*self._open.pop())
        return None

    def _begin(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        _refuse_tag(event)
        if len(self._open) >= DEEPEST:
            raise YamlError(_line(event), f"nested more than {DEEPEST} levels deep")
        line = _line(event)
        node = ListNode(line) if isinstance(event, yaml.SequenceStartEvent) else MapNode(line)
        self._open.append((node, event.anchor))

    def _complete(self, node: Node, anchor: str | None) -> Node | None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            return node
        parent = self._open[-1][0]
        if isinstance(parent, ListNode):
            parent.items.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            parent.pairs.append((parent.key, node))
            parent.key = None
        return None

    def _alias(self, event: yaml.AliasEvent) -> Node:
        # An anchor is known once its node is complete, so nothing can contain itself.
        node = self._anchors.get(event.anchor or "")
        if node is None:
            raise YamlError(_line(event), f"the alias *{event.anchor} stands for nothing that is complete before it")
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        _refuse_tag(event)
        tag = event.tag
        if tag is None or tag == "!":
            tag = str(self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit))  # type: ignore[no-untyped-call]
            if event.implicit[0] and _EXPONENT.fullmatch(event.value):
                tag = "float"
        return ScalarNode(_line(event), event.value, tag.removeprefix(_CORE))


def _refuse_tag(event: yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
    if event.tag not in _TAGS:
        raise YamlError(_line(event), f"the tag {shown(event.tag)} has no place in a Kubernetes object")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _why(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.context, error.problem) if part) or "not YAML"
