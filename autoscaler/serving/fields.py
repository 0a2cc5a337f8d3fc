"""Fields: typed reading of objects that a person wrote in YAML, with errors that say where.

An InferenceService arrives as nested dictionaries in which anything may stand anywhere. Whoever reads containers,
probes and runtimes reads them through `Fields`, so that a list where a text belongs becomes one sentence that names
the place (`spec.predictor.containers[0].args[2]`) and not a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class FieldError(ValueError):
    """Something in an object is not what it has to be there: says what, where, and what is allowed."""


class Fields:
    """One object of a manifest and the place it stands at."""

    def __init__(self, body: object, where: str) -> None:
        if not isinstance(body, Mapping):
            raise FieldError(f"{where} must be an object, not {_kind(body)}")
        self._body: Mapping[object, object] = body
        self.where = where

    def __contains__(self, name: str) -> bool:
        return self._body.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (str(name) for name, value in self._body.items() if value is not None)

    def at(self, name: str) -> str:
        """The full name of a field of this object, for messages."""
        return f"{self.where}.{name}" if self.where else name

    def raw(self, name: str) -> object:
        """The value as it was parsed; None when absent."""
        return self._body.get(name)

    def within(self, name: str) -> Fields:
        """The object under `name`; an empty one when absent."""
        value = self._body.get(name)
        return Fields({} if value is None else value, self.at(name))

    def objects(self, name: str) -> tuple[Fields, ...]:
        """The list of objects under `name`; empty when absent."""
        return tuple(Fields(item, f"{self.at(name)}[{index}]") for index, item in enumerate(self._list(name)))

    def text(self, name: str) -> str | None:
        """The text under `name`. Numbers are not texts: YAML's `8080` and `"8080"` differ in Kubernetes too."""
        value = self._body.get(name)
        if value is None or isinstance(value, str):
            return value
        raise FieldError(f"{self.at(name)} must be a text, not {_kind(value)}{_quote_hint(value)}")

    def texts(self, name: str) -> tuple[str, ...]:
        """The list of texts under `name`; empty when absent."""
        values = self._list(name)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise FieldError(f"{self.at(name)}[{index}] must be a text, not {_kind(value)}{_quote_hint(value)}")
        return tuple(str(value) for value in values)

    def number(self, name: str) -> int | None:
        """The whole number under `name`; None when absent."""
        value = self._body.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise FieldError(f"{self.at(name)} must be a whole number, not {_kind(value)}")

    def flag(self, name: str) -> bool:
        """The boolean under `name`, false where there is none."""
        value = self._body.get(name)
        if value is None:
            return False
        if isinstance(value, bool):
            return value
        raise FieldError(f"{self.at(name)} must be true or false, not {_kind(value)}")

    def table(self, name: str) -> dict[str, str]:
        """A mapping of texts to texts, such as labels and annotations; empty when absent."""
        fields = self.within(name)
        return {key: fields.text(key) or "" for key in fields}

    def _list(self, name: str) -> list[object]:
        value = self._body.get(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            raise FieldError(f"{self.at(name)} must be a list, not {_kind(value)}")
        return list(value)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return "empty" if value is None else f"{value!r:.60}"


def _quote_hint(value: object) -> str:
    return f' (write "{value}" in quotes)' if isinstance(value, int | float) else ""
