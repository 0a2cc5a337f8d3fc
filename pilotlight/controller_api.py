"""Asking a controller: its read-only HTTP API, and reading what it says without trusting its form."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a controller answered: the status of HTTP, and the body."""

    status: int
    body: bytes


class Controller(Protocol):
    """A controller that can be asked, on this machine or in a cluster."""

    @property
    def place(self) -> str:
        """What to call it in messages."""
        ...

    def get(self, path: str) -> Answer:
        """What it answers to this path of its API. Raises CommandError when it does not."""
        ...


@dataclass(frozen=True, slots=True)
class LocalController:
    """The one whose API is at `address`, HOST:PORT."""

    address: str

    @property
    def place(self) -> str:
        """See Controller."""
        return f"the controller at {self.address}"

    def get(self, path: str) -> Answer:
        """See Controller."""
        host, port = host_and_port(self.address)
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, response.read(_LARGEST_ANSWER))
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CommandError(
                f"no controller answers at {self.address} ({why}); is `pilotlight up` running? "
                "--api HOST:PORT names another place, --cluster asks the controller in a cluster"
            ) from error
        finally:
            connection.close()


def services_of(controller: Controller) -> bytes:
    """The answer of `/services`. Raises CommandError."""
    return _get(controller, "/services")


def explanation_of(controller: Controller, service: str, last: int) -> bytes:
    """The answer of `/explain`. Raises NoSuchServiceError, CommandError."""
    namespace, _, name = service.rpartition("/")
    return _get(controller, f"/explain/{quote(namespace or 'default', safe='')}/{quote(name, safe='')}?last={last}")


def parse(answer: bytes, place: str = "the controller") -> Body:
    """The JSON object of an answer; `place` is who gave it. Raises CommandError."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{place} does not answer in JSON, as a controller of Pilotlight does") from error
    return Body(body)


def printable(text: str) -> str:
    """`text` without control characters but newlines: what a model logs must not reach the terminal as commands."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def _get(controller: Controller, path: str) -> bytes:
    answer = controller.get(path)
    if answer.status == 404:
        body = parse(answer.body, controller.place)
        known = ", ".join(body.texts("services")[:_MOST_NAMED])
        there_are = f"; there are: {known}" if known else ""
        raise NoSuchServiceError((body.text("error") or f"{controller.place} does not know {path}") + there_are)
    if answer.status != 200:
        said = printable(answer.body[:300].decode(errors="replace"))
        raise CommandError(f"{controller.place} answered {answer.status}: {said}")
    parse(answer.body, controller.place)  # whoever prints it as it is must not print anything
    return answer.body
