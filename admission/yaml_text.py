"""Edits of a YAML text as an editor would make them: what is not touched stays byte for byte as it was.

A loader that writes its tree again moves comments, breaks lines anew and normalises indentation, and whoever reviews
the change has to find the five lines that matter. So only positions are taken from the parser. Each edit is one piece
of text put in or cut out, in the style of its surroundings, and the text is parsed again before the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import yaml

from admission.edits import Edit, Operation, Path, dotted

_WIDE = 1 << 30
# What can stand in quotes of either kind as it is; and without, unless it is a word that YAML knows.
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


class YamlEditError(ValueError):
    """The text cannot be edited in place there: says where and why."""


def edit_text(text: str, document: int, edits: Sequence[Edit]) -> str:
    """`text` with `edits` made in its document of that number (from 0). Raises YamlEditError."""
    for edit in edits:
        text = _Splice(text, document).made(edit)
    return text


class _Splice:
    """One edit of one text."""

    def __init__(self, text: str, document: int) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        try:
            roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        except (yaml.YAMLError, RecursionError) as error:
            raise YamlEditError(f"cannot be parsed: {error}") from error
        root = roots[document]
        if root is None:
            raise YamlEditError("is empty")
        self._root: yaml.Node = root
        self._uses = _uses(root)
        self._indented_lists = _indents_lists(root)

    def made(self, edit: Edit) -> str:
        """The text with the edit."""
        parent = self._root
        for step in edit.path[:-1]:
            parent = self._step(parent, step, edit.path)
        step = edit.path[-1]
        if isinstance(parent, yaml.MappingNode):
            pair = _pair(parent, step)
            if edit.operation is Operation.REMOVE:
                return self._cut(parent, [(key, value) for key, value in parent.value], _index(parent, step))
            if pair is not None:
                return self._replace_value(parent, pair, edit)
            return self._add_pair(parent, str(step), edit.value)
        if isinstance(parent, yaml.SequenceNode) and isinstance(step, int):
            if edit.operation is Operation.REMOVE:
                return self._cut(parent, [(item, item) for item in parent.value], step)
            if edit.operation is Operation.ADD and step == len(parent.value):
                return self._append(parent, edit.value)
        raise YamlEditError(f"{dotted(edit.path)}: cannot be edited here")

    def _step(self, node: yaml.Node, step: str | int, path: Path) -> yaml.Node:
        inner: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            pair = _pair(node, step)
            inner = pair[1] if pair else None
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            inner = node.value[step]
        if inner is None:
            raise YamlEditError(f"{dotted(path)}: {step} comes from a merge (<<); write it out here")
        if self._uses[id(inner)] > 1:
            raise YamlEditError(f"{dotted(path)}: {step} is shared by an anchor with another place; write it out here")
        return inner

    def _add_pair(self, mapping: yaml.MappingNode, key: str, value: object) -> str:
        if mapping.flow_style:
            return self._add_in_flow(mapping, f"{json.dumps(key)}: {json.dumps(value)}")
        if not mapping.value:
            raise YamlEditError(f"line {mapping.start_mark.line + 1}: an empty place")
        column = mapping.value[0][0].start_mark.column
        return self._add_lines(self._end(mapping), self._block({key: value}, column))

    def _append(self, sequence: yaml.SequenceNode, value: object) -> str:
        if sequence.flow_style:
            return self._add_in_flow(sequence, json.dumps(value))
        return self._add_lines(self._end(sequence), self._block([value], sequence.start_mark.column))

    def _replace_value(self, mapping: yaml.MappingNode, pair: tuple[yaml.Node, yaml.Node], edit: Edit) -> str:
        key, old = pair
        if self._uses[id(old)] > 1:
            raise YamlEditError(f"{dotted(edit.path)}: is shared by an anchor with another place; write it out here")
        colon = self._text.index(":", key.end_mark.index) + 1
        end = max(colon, self._end(old))
        quote = _quote_like(old, edit.value)
        if quote is not None:
            rendered = f" {quote}{edit.value}{quote}"
        elif mapping.flow_style:
            rendered = " " + json.dumps(edit.value)
        elif isinstance(edit.value, dict | list) and edit.value:
            lists = isinstance(edit.value, list) and not self._indented_lists
            column = key.start_mark.column + (0 if lists else 2)
            rendered = self._newline + self._block(edit.value, column).rstrip("\r\n")
        elif edit.value is None:
            rendered = ""
        else:
            rendered = " " + _scalar(edit.value)
        return self._text[:colon] + rendered + self._text[end:]

    def _cut(self, parent: yaml.CollectionNode, entries: list[tuple[yaml.Node, yaml.Node]], index: int) -> str:
        """Without one entry; each is where it begins and where it ends."""
        first, last = entries[index]
        start, end = first.start_mark.index, self._end(last)
        following = entries[index + 1][0].start_mark.index if index + 1 < len(entries) else None
        if parent.flow_style:
            if following is not None:
                return self._text[:start] + self._text[following:]
            start = self._end(entries[index - 1][1]) if index else start
            return self._text[:start] + self._text[end:]
        line = self._line_start(start)
        indent = self._text[line:start]
        dash = isinstance(parent, yaml.SequenceNode) and indent.strip() == "-"
        if indent.strip() and not dash:  # the first key of a list's item, behind the dash
            if following is None:
                raise YamlEditError(f"line {first.start_mark.line + 1}: nothing would be left of this item")
            return self._text[:start] + self._text[following:]
        return self._text[:line] + self._text[self._line_end(end) :]

    def _add_in_flow(self, node: yaml.CollectionNode, rendered: str) -> str:
        if node.value:
            last = node.value[-1]
            end = self._end(last[1] if isinstance(last, tuple) else last)
            return f"{self._text[:end]}, {rendered}{self._text[end:]}"
        close = node.end_mark.index - 1
        return self._text[:close] + rendered + self._text[close:]

    def _add_lines(self, end: int, block: str) -> str:
        """`block` on lines of its own below the line in which `end` lies."""
        place = self._line_end(end)
        before = self._text[:place]
        if not before.endswith("\n"):
            # The file ends without a newline, and shall do so again when the block is cut out.
            return before + self._newline + block.rstrip("\r\n") + self._text[place:]
        return before + block + self._text[place:]

    def _end(self, node: yaml.Node) -> int:
        """Where the last of a node's own text ends, without the blanks and comments behind it."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            if not isinstance(last, tuple) and self._uses[id(last)] > 1:
                raise YamlEditError(
                    f"line {node.start_mark.line + 1}: the last item is shared by an anchor; write it out"
                )
            end = self._end(last[1] if isinstance(last, tuple) else last)
            return max(end, self._text.index(":", last[0].end_mark.index) + 1) if isinstance(last, tuple) else end
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return start + len(self._text[start:end].rstrip())
        return int(end)

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Behind the newline of the line in which `index` lies."""
        end = self._text.find("\n", index)
        return len(self._text) if end < 0 else end + 1

    def _block(self, value: object, column: int) -> str:
        dumper = _Indented if self._indented_lists else _Plain
        text: str = yaml.dump(
            value, Dumper=dumper, sort_keys=False, default_flow_style=False, width=_WIDE, allow_unicode=True
        )
        margin = " " * column
        return "".join(margin + line + self._newline for line in text.splitlines())


class _Plain(yaml.SafeDumper):
    """Writes lists below a key in its column, and everything out: no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def choose_scalar_style(self) -> str:
        """Double quotes, as Kubernetes' own examples have them, unless there are more of them within."""
        style: str = super().choose_scalar_style()
        text = self.event.value if isinstance(self.event, yaml.ScalarEvent) else ""
        return '"' if style == "'" and not set('"\\') & set(text) else style


class _Indented(_Plain):
    """Writes lists below a key further in than the key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _quote_like(old: yaml.Node, value: object) -> str | None:
    """The quotes that `value` gets in the place of `old`, None where that is not so simple."""
    if not isinstance(old, yaml.ScalarNode) or not isinstance(value, str) or not _LABEL.fullmatch(value):
        return None
    if old.style in ("'", '"'):
        return str(old.style)
    return "" if _scalar(value) == value else None


def _scalar(value: object) -> str:
    text: str = yaml.dump(value, Dumper=_Plain, default_flow_style=True, width=_WIDE, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _pair(mapping: yaml.MappingNode, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    return next(((key, value) for key, value in mapping.value if key.value == step), None)


def _index(mapping: yaml.MappingNode, step: str | int) -> int:
    found = next((index for index, (key, _) in enumerate(mapping.value) if key.value == step), None)
    if found is None:
        raise YamlEditError(f"{step} comes from a merge (<<); write it out here")
    return found


def _uses(root: yaml.Node) -> dict[int, int]:
    """How often each node is used; more than once means that it has an anchor and aliases."""
    uses: dict[int, int] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        uses[id(node)] = uses.get(id(node), 0) + 1
        if uses[id(node)] > 1:
            continue
        for entry in node.value if isinstance(node, yaml.CollectionNode) else ():
            waiting.extend(entry if isinstance(entry, tuple) else (entry,))
    return uses


def _indents_lists(root: yaml.Node) -> bool:
    """Whether lists stand further in than their keys, as most of those in the document do."""
    votes = 0
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        for entry in node.value:
            waiting.extend(entry if isinstance(entry, tuple) else (entry,))
            if isinstance(entry, tuple) and isinstance(entry[1], yaml.SequenceNode) and not entry[1].flow_style:
                votes += 1 if entry[1].start_mark.column > entry[0].start_mark.column else -1
    return votes >= 0
