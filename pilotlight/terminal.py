"""What terminals are: so wide, and of an encoding of their own, which is not for what other programs read."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable

_NARROWEST = 40


def terminal_size() -> tuple[int, int] | None:
    """Columns and rows of the terminal that stdout is; None where it is none: what is piped on stays whole."""
    if not sys.stdout.isatty():
        return None
    size = shutil.get_terminal_size()
    return max(size.columns, _NARROWEST), size.lines


def write_data(text: str) -> None:
    """A line for another program, in UTF-8, as JSON is whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{text}\n".encode(errors="surrogateescape"))
    sys.stdout.buffer.flush()


def folded(lines: Iterable[str], columns: int, indent: int) -> list[str]:
    """Each line broken between words where it is too long; what follows a break begins `indent` columns in."""
    fold = textwrap.TextWrapper(
        columns, subsequent_indent=" " * indent, break_on_hyphens=False, replace_whitespace=False, expand_tabs=False
    )
    return [part for line in lines for part in fold.wrap(line) or [""]]


def cut(line: str, columns: int) -> str:
    """The line, or what fits of it with a mark that there is more."""
    return line if len(line) <= columns else f"{line[: columns - 1]}…"
