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


def check_replaceable(path: Path, flag: str) -> None:
    """The same for `write_whole`, which puts a new file in the place of the old one: of a device nothing would be left.

    A file is made and gone again, for permissions alone do not say it: not of what is no real directory, nor to root.
    """
    check_writable(path, flag)
    if path.exists() and not path.is_file():
        raise CommandError(f"{flag} {path}: is not a regular file")
    try:
        with tempfile.TemporaryFile(dir=place_of(path).parent):
            pass
    except OSError as error:
        raise CommandError(f"{flag} {path}: cannot be written: {error.strerror}") from error


def place_of(path: Path) -> Path:
    """What a link points to in the end; of links that point at each other, the first of them."""
    return Path(os.path.realpath(path))


def write_whole(path: Path, content: str, flag: str) -> None:
    """Write the file whole or not at all; of a link, what it points to. Raises CommandError."""
    try:
        place = place_of(path)
        descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(content)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(place)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(f"{flag} {path}: cannot be written: {error.strerror}") from error
