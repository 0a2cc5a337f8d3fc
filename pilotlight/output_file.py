"""Files that a command will write later: that it can is found out before anything else begins."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pilotlight.errors import CommandError


def check_writable(path: Path, flag: str) -> None:
    """Raises CommandError, naming `flag`, when `path` could not be written; leaves nothing behind."""
    folder = path.absolute().parent
    if path.is_dir():
        raise CommandError(f"{flag} {path}: is a directory")
    if not folder.is_dir():
        raise CommandError(f"{flag} {path}: there is no directory {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise CommandError(f"{flag} {path}: may not be written")


def write_whole(path: Path, content: str, flag: str) -> None:
    """Write the file whole or not at all. Raises CommandError."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(content)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(f"{flag} {path}: cannot be written: {error.strerror}") from error
