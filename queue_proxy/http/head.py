"""Heads of requests and answers."""

from __future__ import annotations


class RequestHead:
    """A request's head."""

    __slots__ = ("expects_continue", "host", "is_upgrade", "lines", "method", "target", "version")

    method: bytes
    target: bytes
    version: bytes
    host: bytes
    lines: list[bytes]
    is_upgrade: bool
    expects_continue: bool

    def value(self, name: bytes) -> bytes | None:
        """The value of the first header named `name` (in lower case), None when there is none."""
        raise NotImplementedError
