"""PolicyError: what is wrong with what the user wrote, where it stands, and what is allowed there.

Everything that is wrong is reported at once, because whoever fixes a manifest wants to fix it once. What is shown was
written by somebody else, so it is cut to a readable length and control characters never reach a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]

_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Source:
    """A place: a file with its line, or the name of an object that did not come from a file."""

    name: str
    line: int | None = None

    def __str__(self) -> str:
        return shown(self.name, 4096) if self.line is None else f"{shown(self.name, 4096)}:{self.line}"


@dataclass(frozen=True, slots=True)
class SourceMap:
    """Where each key of one object stands in its file. Paths are the keys and list positions from the object down."""

    file: str
    lines: Mapping[KeyPath, int]

    def where(self, path: KeyPath) -> Source:
        """The line of `path`, or of the nearest thing around it that has one."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return Source(self.file, line)
        return Source(self.file)


@dataclass(frozen=True, slots=True)
class PolicyError:
    """One mistake.

    key      the annotation or field as it was written; empty when the mistake is not in one key
    value    what stands there, made safe to show
    source   where it stands
    allowed  what may stand there; empty when the message says it all
    message  what is wrong; reads on from the value
    """

    key: str
    value: str
    source: Source
    allowed: str
    message: str

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        value = f'"{self.value}" ' if self.value else ""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{self.source}: {subject}{value}{self.message}{allowed}"


class PolicyErrors(ValueError):  # noqa: N818 - it carries several
    """Everything that is wrong with an object or a file; `errors` has at least one, in the order of the file."""

    def __init__(self, errors: Sequence[PolicyError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


def shown(value: object, longest: int = _LONGEST_SHOWN) -> str:
    """`value` as YAML would write it, on one line, without control characters, at most `longest` characters."""
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = value
    elif isinstance(value, int):
        # Python refuses to print an integer of thousands of digits; nobody wants to read one either.
        text = str(value) if value.bit_length() <= 128 else "a number of more than 38 digits"
    elif isinstance(value, float):
        text = repr(value)
    else:
        text = "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else "an object"
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)
