"""Settings: what one InferenceService says, key by key, before anything is made of it.

Annotations stand on the object and on its predictor; where both have one, the predictor's counts, as when KServe
merges them. Each value is read by its key's kind; whatever cannot be read becomes an error here and nothing later
has to doubt a value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.policy import keys, keys_knative
from autoscaler.policy.errors import KeyPath, PolicyError, Source, SourceMap, shown
from autoscaler.policy.key import Key
from autoscaler.policy.notation import NotAllowedError
from autoscaler.policy.profiles import NO_PROFILES, PROFILE, Profiles, joined
from autoscaler.policy.setting import Setting
from autoscaler.policy.shadow import for_another
from autoscaler.policy.values import Value
from autoscaler.policy.words import Choice

# To guess what was meant takes a tenth of a millisecond, and an object may have ten thousand annotations.
_GUESSES = 50
_ON_THE_OBJECT: KeyPath = ("metadata", "annotations")
_ON_THE_PREDICTOR: KeyPath = ("spec", "predictor", "annotations")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was said and could be read.

    `said` holds for each ScalingPolicy field (or pseudo-field of the table) what sets it, in order of precedence.
    `in_knatives_terms`: an `autoscaling.knative.dev` annotation is used.
    """

    said: Mapping[str, Sequence[Setting]]
    in_knatives_terms: bool

    def setting(self, field: str) -> Setting | None:
        """What sets `field`, None when nothing does."""
        return next(iter(self.said.get(field, ())), None)

    @property
    def profile(self) -> str:
        """The name of the profile; empty when there is none."""
        return next((str(setting.value) for setting in self.said.get("", ()) if setting.key.name == PROFILE), "")

    def without(self, dropped: Collection[Setting]) -> Settings:
        """The same as if nobody had said those."""
        kept = {field: [s for s in said if s not in dropped] for field, said in self.said.items()}
        return replace(self, said={field: said for field, said in kept.items() if said})

    def value(self, field: str) -> Value | None:
        """The value that `field` was given, None when it was given none."""
        setting = self.setting(field)
        return None if setting is None else setting.value


def gather(
    inference_service: Mapping[str, object], source_map: SourceMap | None, profiles: Profiles = NO_PROFILES
) -> tuple[Settings, list[PolicyError]]:
    """Read every key of the table that stands in `inference_service`, and what its profile adds; returns what could be
    read and what could not.

    `source_map` tells where things stand in a file; without one, errors name the object instead.
    """
    reader = _Reader(inference_service, source_map)
    annotations = reader.annotations(_ON_THE_OBJECT) | reader.annotations(_ON_THE_PREDICTOR)
    predictor = reader.mapping(("spec", "predictor"))
    not_to_us = for_another({name: value for name, (_, value) in annotations.items()}, predictor)
    for name, (path, value) in annotations.items():
        if name not in not_to_us:
            reader.annotation(path, value)
    for key in keys.FIELDS:
        if key.name not in not_to_us and predictor.get(key.path[-1]) is not None:
            reader.field(key, predictor[key.path[-1]])
    reader.misspelt(predictor)
    said: dict[str, list[Setting]] = {}
    for setting in sorted(
        reader.settings, key=lambda setting: (setting.key.vocabulary, setting.name != setting.key.name)
    ):
        said.setdefault(setting.key.field, []).append(setting)
    for setting in reader.profile(profiles, said):
        said.setdefault(setting.key.field, []).append(setting)
    in_knatives_terms = any(name.startswith(keys_knative.DOMAIN) for name in annotations)
    return Settings(said, in_knatives_terms), reader.errors


class _Reader:
    """Walks one object, collecting settings and errors."""

    def __init__(self, body: Mapping[str, object], source_map: SourceMap | None) -> None:
        self.settings: list[Setting] = []
        self.errors: list[PolicyError] = []
        self._body = body
        self._source_map = source_map
        self._no_mappings: set[KeyPath] = set()
        self._unknown = 0

    def mapping(self, path: KeyPath) -> Mapping[str, object]:
        """The mapping at `path`; empty, with an error where the reason is that something else stands there."""
        inner: object = self._body
        for length, step in enumerate(path, start=1):
            assert isinstance(inner, Mapping)
            inner = inner.get(step)
            if inner is None:
                return {}
            if not isinstance(inner, Mapping):
                place = path[:length]
                if place not in self._no_mappings:  # it is asked for what is to stand in it more than once
                    self._no_mappings.add(place)
                    self._wrong(place, ".".join(map(str, place)), inner, "a mapping", "is not a mapping")
                return {}
        assert isinstance(inner, Mapping)
        return inner

    def annotations(self, path: KeyPath) -> dict[str, tuple[KeyPath, object]]:
        """The annotations at `path`, each with where it stands."""
        return {str(name): ((*path, name), value) for name, value in self.mapping(path).items()}

    def annotation(self, path: KeyPath, value: object) -> None:
        """Read one annotation. Those of other people only have to be text, or Kubernetes refuses the object."""
        name = str(path[-1])
        if not isinstance(value, str):
            self._wrong(path, name, value, "text in quotes", _unquoted(value))
            return
        key = keys.annotation(name)
        if key is not None:
            self._read(key, name, value, path)
        elif name.startswith(keys.CLOSED_DOMAINS):
            self._unknown += 1
            meant = keys.nearest(name) if self._unknown <= _GUESSES else None
            guess = f"; did you mean {meant}?" if meant else ""
            self._wrong(path, name, value, "", f"is for a key that does not exist{guess}")

    def field(self, key: Key, value: object) -> None:
        """Read one field of the predictor, which has a type of its own: numbers are not quoted there."""
        if isinstance(key.kind, Choice):
            if isinstance(value, str):
                self._read(key, key.name, value, key.path)
            else:
                self._wrong(key.path, key.name, value, key.allowed, "is not a word")
        elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 128:
            self._read(key, key.name, str(value), key.path)
        elif isinstance(value, str):
            self._wrong(key.path, key.name, value, key.allowed, "is text; a field of the spec takes a number, unquoted")
        else:
            self._wrong(key.path, key.name, value, key.allowed, "is not a whole number")

    def misspelt(self, predictor: Mapping[str, object]) -> None:
        """Fields that are meant for ours. All others belong to KServe and to pods, and are left alone."""
        for name, value in predictor.items():
            meant = keys.misspelt_field(str(name))
            if meant is not None:
                path = ("spec", "predictor", str(name))
                self._wrong(
                    path, ".".join(path), value, "", f"is for a field that does not exist; did you mean {meant}?"
                )

    def profile(self, profiles: Profiles, said: Mapping[str, object]) -> tuple[Setting, ...]:
        """What the profile that the object names adds to what it has said itself."""
        naming = next((setting for setting in self.settings if setting.key.name == PROFILE), None)
        if naming is None:
            return ()
        profile = profiles.by_name.get(str(naming.value))
        if profile is None:
            unknown = PolicyError(naming.name, naming.text, naming.source, "", profiles.unknown(str(naming.value)))
            self.errors.extend(profiles.errors or (unknown,))
            return ()
        self.errors.extend(error for error in profile.errors if error not in self.errors)
        return tuple(joined(profile, said))

    def _read(self, key: Key, name: str, text: str, path: KeyPath) -> None:
        try:
            value = key.kind.parse(text)
        except NotAllowedError as error:
            self._wrong(path, name, text, key.allowed, str(error))
        else:
            self.settings.append(Setting(key, name, shown(text), value, self._where(path)))

    def _wrong(self, path: KeyPath, name: str, value: object, allowed: str, message: str) -> None:
        self.errors.append(PolicyError(shown(name, 300), shown(value), self._where(path), allowed, message))

    def _where(self, path: KeyPath) -> Source:
        if self._source_map is not None:
            return self._source_map.where(path)
        return Source(name_of(self._body))


def name_of(inference_service: Mapping[str, object]) -> str:
    """`namespace/name`, as far as the object says."""
    metadata = inference_service.get("metadata")
    if not isinstance(metadata, Mapping):
        return "InferenceService"
    return shown(f"{metadata.get('namespace') or 'default'}/{metadata.get('name') or '?'}", 200)


def _unquoted(value: object) -> str:
    if value is None:
        return "is nothing; annotations are text"
    if isinstance(value, bool):
        return "is a YAML boolean (as are on, off, yes and no without quotes); annotations are text: put it in quotes"
    if isinstance(value, int | float):
        return "is a YAML number; annotations are text: put it in quotes"
    return "is not text"
