"""How wide a terminal is, and lines that fit into it: text that a terminal breaks by itself loses its columns."""

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


def folded(lines: Iterable[str], columns: int, indent: int) -> list[str]:
    """Each line broken between words where it is too long; what follows a break begins `indent` columns in."""
    fold = textwrap.TextWrapper(
        columns, subsequent_indent=" " * indent, break_on_hyphens=False, replace_whitespace=False, expand_tabs=False
    )
    return [part for line in lines for part in fold.wrap(line) or [""]]


def cut(line: str, columns: int) -> str:
    """The line, or what fits of it with a mark that there is more."""
    return line if len(line) <= columns else f"{line[: columns - 1]}…"
