"""Kinds of values that are words: which are known, and what is said of those that are not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from activator.messages import HEADER_NAME
from autoscaler.policy.notation import NotAllowedError, checked

_OF_THE_PROTOCOL = ("content-", "transfer-", "pilotlight-")
# Words that somebody writes who means to switch something, or to leave it out.
_NO_HEADERS = ("connection", "host", "te", "upgrade", "expect", "true", "false", "on", "off", "null", "none")
_NAME = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    name: ClassVar[str] = "boolean"
    allowed: ClassVar[str] = "true or false"

    def parse(self, text: str) -> bool:
        """The truth. Raises NotAllowedError."""
        if checked(text) not in ("true", "false"):
            raise NotAllowedError("is neither true nor false")
        return text == "true"

    def holds(self, value: object) -> bool:
        """Whether `value` is a boolean."""
        return isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a few. `refused` says why a word that means something elsewhere is not taken here; `spelled` maps
    other spellings to the word they stand for."""

    words: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    spelled: Mapping[str, str] = field(default_factory=dict)
    name: ClassVar[str] = "word"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        return " or ".join(filter(None, (", ".join(self.words[:-1]), self.words[-1])))

    def parse(self, text: str) -> str:
        """The word. Raises NotAllowedError."""
        word = self.spelled.get(checked(text), text)
        if word not in self.words:
            raise NotAllowedError(self.refused.get(word, "is not one of the words known here"))
        return word

    def holds(self, value: object) -> bool:
        """Whether `value` is one of the words."""
        return value in self.words


@dataclass(frozen=True, slots=True)
class HeaderName:
    """The name of a request header; written in any case, kept in lower case. Empty in a recording: no header."""

    name: ClassVar[str] = "header name"
    allowed: ClassVar[str] = "a header of requests: 1 to 63 letters, digits, dashes and underscores, such as x-tenant"

    def parse(self, text: str) -> str:
        """The name in lower case. Raises NotAllowedError."""
        header = checked(text).lower()
        if not HEADER_NAME.fullmatch(header):
            raise NotAllowedError("is not the name of a header")
        if header.startswith(_OF_THE_PROTOCOL) or header in _NO_HEADERS:
            raise NotAllowedError("is no header that a client's own meaning can have")
        return header

    def holds(self, value: object) -> bool:
        """Whether `value` is such a name, or empty."""
        if not isinstance(value, str):
            return False
        try:
            return value == "" or self.parse(value) == value
        except NotAllowedError:
            return False


@dataclass(frozen=True, slots=True)
class Name:
    """The name of something that stands elsewhere; whether it is there is not asked here."""

    of: str
    name: ClassVar[str] = "name"

    @property
    def allowed(self) -> str:
        """What may be written, for a person."""
        return f"the name of {self.of}: 1 to 63 letters, digits, dashes, dots and underscores"

    def parse(self, text: str) -> str:
        """The name. Raises NotAllowedError."""
        if not _NAME.fullmatch(checked(text)):
            raise NotAllowedError("is not a name")
        return text

    def holds(self, value: object) -> bool:
        """Whether `value` is such a name."""
        return isinstance(value, str) and _NAME.fullmatch(value) is not None


PROFILE_NAME = Name("a profile")
