"""The token by which a controller knows who we are: read for each connection, since kubelet rotates the file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_LARGEST_BYTES = 65_536


class TokenError(Exception):
    """There is no usable token; the message says what is wrong with the file, and never what is in it."""


class TokenFile(NamedTuple):
    """A file with one bearer token, as a projected service account token is."""

    path: Path

    def authorization(self) -> str:
        """The header's value. Raises TokenError."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(_LARGEST_BYTES + 1)
        except OSError as error:
            raise TokenError(f"{self.path}: {error.strerror}") from None
        token = raw.strip()
        if not token:
            raise TokenError(f"{self.path}: is empty")
        if len(raw) > _LARGEST_BYTES or not token.isascii() or not token.decode().isprintable() or b" " in token:
            raise TokenError(
                f"{self.path}: is not one token of printable characters and at most {_LARGEST_BYTES} bytes"
            )
        return f"Bearer {token.decode()}"
