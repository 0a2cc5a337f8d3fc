"""Asking a controller: its read-only HTTP API, and reading what it says without trusting its form."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from urllib.parse import quote

from pilotlight.arguments import host_and_port
from pilotlight.errors import CommandError

_TIMEOUT = 5.0
_LARGEST_ANSWER = 64 * 1024 * 1024
_MOST_NAMED = 20


class NoSuchServiceError(CommandError):
    """The controller does not know the service."""


class Body:
    """One JSON object of an answer. A field that is absent or of another type than asked for is None, "" or empty."""

    def __init__(self, body: object) -> None:
        self._body: Mapping[str, object] = body if isinstance(body, Mapping) else {}

    def text(self, name: str) -> str:
        """A text, without characters that could drive a terminal."""
        value = self._body.get(name)
        return printable(value) if isinstance(value, str) else ""

    def number(self, name: str) -> float | None:
        """A number; None means that it is unknown, which is not zero."""
        value = self._body.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def whole(self, name: str) -> int | None:
        """A whole number."""
        value = self.number(name)
        return None if value is None else round(value)

    def flag(self, name: str) -> bool:
        """True only when it says so."""
        return self._body.get(name) is True

    def within(self, name: str) -> Body:
        """An object in this object."""
        return Body(self._body.get(name))

    def objects(self, name: str) -> tuple[Body, ...]:
        """A list of objects."""
        value = self._body.get(name)
        return tuple(map(Body, value)) if isinstance(value, list) else ()

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._body.get(name)
        return tuple(printable(item) for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def __bool__(self) -> bool:
        return bool(self._body)


def services_of(api: str) -> bytes:
    """The answer of `/services`. Raises CommandError."""
    return _get(api, "/services")


def explanation_of(api: str, service: str, last: int) -> bytes:
    """The answer of `/explain`. Raises NoSuchServiceError, CommandError."""
    namespace, _, name = service.rpartition("/")
    return _get(api, f"/explain/{quote(namespace or 'default', safe='')}/{quote(name, safe='')}?last={last}")


def parse(answer: bytes) -> Body:
    """The JSON object of an answer. Raises CommandError."""
    try:
        body = json.loads(answer)
    except ValueError as error:
        raise CommandError(f"the controller's answer is not JSON: {error}") from error
    return Body(body)


def printable(text: str) -> str:
    """`text` without control characters but newlines: what a model logs must not reach the terminal as commands."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def _get(api: str, path: str) -> bytes:
    host, port = host_and_port(api)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        answer = response.read(_LARGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CommandError(
            f"no controller answers at {api} ({why}); is `pilotlight up` running? --api HOST:PORT names another place"
        ) from error
    finally:
        connection.close()
    if response.status == 404:
        body = parse(answer)
        known = ", ".join(body.texts("services")[:_MOST_NAMED])
        there_are = f"; there are: {known}" if known else ""
        raise NoSuchServiceError((body.text("error") or f"the controller at {api} does not know {path}") + there_are)
    if response.status != 200:
        raise CommandError(
            f"the controller at {api} answered {response.status}: {printable(answer[:300].decode(errors='replace'))}"
        )
    return answer
