"""Profiles: named sets of settings that a platform team owns, for InferenceServices to name instead of repeating.

They are the entries of one ConfigMap. Each is a mapping in YAML from the keys of the table to values; keys of
`pilotlight.dev/` may be written without their domain, and fields of the predictor by their last part:

    data:
      interactive: |
        stable-window: 2m
        scale-to-zero-retention: 10m
        containerConcurrency: 8

What an object says itself counts more. A mistake in one profile does not touch services that use another; and who
follows the ConfigMap goes on with what a profile said before, as long as it cannot be read (`following`).
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

from autoscaler.policy import keys, keys_pilotlight
from autoscaler.policy.errors import PolicyError, Source, SourceMap, shown
from autoscaler.policy.key import PANIC_WINDOW_SECONDS, Key
from autoscaler.policy.notation import NotAllowedError
from autoscaler.policy.setting import Setting
from autoscaler.policy.words import PROFILE_NAME
from autoscaler.policy.yaml_nodes import MapNode, Node, ScalarNode, YamlError, read_nodes

NAMESPACE = "pilotlight-system"
CONFIG_MAP = "pilotlight-profiles"
PROFILE = keys_pilotlight.DOMAIN + "profile"
"""The annotation that names a profile."""

# Whether a service takes part, and by which profile, is said on the service.
_NOT_IN_A_PROFILE = (PROFILE, keys_pilotlight.DOMAIN + "scaling")
_MOST_PROFILES = 1000
# A megabyte, which a ConfigMap can have, takes ten seconds to read; those who read it have other work.
_MOST_CHARACTERS = 128 * 1024


@dataclass(frozen=True, slots=True)
class Profile:
    """One entry: what could be read of it, and what could not.

    superseded_by  what is wrong with the entry as it is now, where these settings are those that it had before
    """

    name: str
    settings: tuple[Setting, ...]
    errors: tuple[PolicyError, ...]
    superseded_by: tuple[PolicyError, ...] = ()


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles by name.

    errors  those that belong to no entry
    unread  why nobody knows yet what the ConfigMap says; empty once it was read, or is known not to be there
    """

    by_name: Mapping[str, Profile] = field(default_factory=dict)
    errors: tuple[PolicyError, ...] = ()
    unread: str = ""

    @property
    def all_errors(self) -> tuple[PolicyError, ...]:
        """Everything that is wrong with the ConfigMap."""
        return (*self.errors, *(error for profile in self.by_name.values() for error in profile.errors))

    def unknown(self, name: str) -> str:
        """Says of a name that is not there what is there instead; reads on from the name."""
        if self.unread:
            return f"is a profile, and profiles are not known yet: {self.unread}"
        if not self.by_name:
            return f"is a profile, and there are none: ConfigMap {NAMESPACE}/{CONFIG_MAP} is missing or empty"
        close = difflib.get_close_matches(name, self.by_name, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        return f"is a profile that does not exist; there are {', '.join(sorted(self.by_name))}{guess}"


NO_PROFILES = Profiles()


def read_profiles(config_map: Mapping[str, object], source_map: SourceMap | None = None) -> Profiles:
    """The profiles in a ConfigMap. `source_map` tells where things stand in a file; without one, errors name the
    profile. Nothing is raised: what is wrong stands beside what could be read."""
    data = config_map.get("data")
    if data is None:
        return NO_PROFILES
    where = source_map.where(("data",)) if source_map else Source(f"{NAMESPACE}/{CONFIG_MAP}")
    if not isinstance(data, Mapping):
        return Profiles({}, (PolicyError("data", shown(data), where, "a mapping", "is not a mapping"),))
    if len(data) > _MOST_PROFILES:
        message = f"holds more than {_MOST_PROFILES} profiles"
        return Profiles({}, (PolicyError("data", "", where, "", message),))
    if sum(len(text) for text in data.values() if isinstance(text, str)) > _MOST_CHARACTERS:
        message = f"holds more than {_MOST_CHARACTERS // 1024} KiB of text"
        return Profiles({}, (PolicyError("data", "", where, "", message),))
    return Profiles({str(name): _profile(str(name), text, source_map) for name, text in data.items()})


def following(now: Profiles, before: Profiles, named: Container[str]) -> Profiles:
    """What is in force once the ConfigMap reads like `now`: of a profile that cannot be read, what was in force before;
    so also of one that is not there any more, if it is `named` by somebody."""
    in_force: dict[str, Profile] = {}
    for name in {**before.by_name, **now.by_name}:
        read, last = now.by_name.get(name), before.by_name.get(name)
        if read is not None and (not read.errors or last is None or last.errors):
            in_force[name] = read
        elif last is not None and not last.errors and (read is not None or name in named):
            why = read.errors if read is not None else now.errors or (_gone(name),)
            in_force[name] = replace(last, superseded_by=why)
    return Profiles(in_force, now.errors)


def _gone(name: str) -> PolicyError:
    where = Source(f"{NAMESPACE}/{CONFIG_MAP}")
    return PolicyError(PROFILE, name, where, "", "is a profile that is not there any more")


def joined(profile: Profile, own: Mapping[str, object]) -> Iterator[Setting]:
    """The settings of `profile` about which an object that sets the fields `own` says nothing itself."""
    said = {_quantity(name) for name in own}
    return (setting for setting in profile.settings if _quantity(setting.key.field) not in said)


def _quantity(field_name: str) -> str:
    """Both keys of the panic window say the same in different units."""
    return "panic_window_fraction" if field_name == PANIC_WINDOW_SECONDS else field_name


def _profile(name: str, text: object, source_map: SourceMap | None) -> Profile:
    reader = _Reader(name, source_map)
    try:
        PROFILE_NAME.parse(name)
    except NotAllowedError as error:
        reader.wrong(0, name, "", PROFILE_NAME.allowed, f"as the name of a profile {error}")
    if not isinstance(text, str):
        reader.wrong(0, name, text, "text: settings below `|`", "is not text")
    else:
        reader.read(text)
    return Profile(name, tuple(reader.settings), tuple(reader.errors))


class _Reader:
    """Reads one entry, collecting settings and errors."""

    def __init__(self, profile: str, source_map: SourceMap | None) -> None:
        self.settings: list[Setting] = []
        self.errors: list[PolicyError] = []
        self._profile = profile
        self._source_map = source_map

    def read(self, text: str) -> None:
        """Collect every setting in `text`."""
        try:
            roots = list(read_nodes(text))
        except YamlError as error:
            self.wrong(error.line, self._profile, "", "", str(error))
            return
        if len(roots) != 1 or not isinstance(roots[0], MapNode):
            if any(not _is_empty(root) for root in roots):
                self.wrong(1, self._profile, "", "lines of KEY: VALUE", "is not a mapping")
            return
        seen: set[str] = set()
        for name, value in roots[0].pairs:
            self._pair(name, value, seen)

    def _pair(self, name: Node, value: Node, seen: set[str]) -> None:
        if not isinstance(name, ScalarNode):
            self.wrong(name.line, self._profile, "", "lines of KEY: VALUE", "has a key that is not text")
            return
        key = _key(name.text)
        if key is None or key.name in _NOT_IN_A_PROFILE:
            known = sorted(_short(key) for key in keys.ALL if key.name not in _NOT_IN_A_PROFILE and key.field)
            close = difflib.get_close_matches(name.text[:200], known, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            why = "stands on the InferenceService itself" if key else f"is not a key that a profile can have{guess}"
            self.wrong(name.line, shown(name.text), "", "", why)
        elif key.name in seen:
            self.wrong(name.line, name.text, "", "", "stands in this profile a second time")
        elif not isinstance(value, ScalarNode) or value.tag == "null":
            self.wrong(
                name.line, name.text, "", key.allowed, "has no value" if _is_empty(value) else "is not one value"
            )
        else:
            seen.add(key.name)
            self._value(key, name, value.text)

    def _value(self, key: Key, name: ScalarNode, text: str) -> None:
        try:
            value = key.kind.parse(text)
        except NotAllowedError as error:
            self.wrong(name.line, name.text, text, key.allowed, str(error))
        else:
            self.settings.append(Setting(key, key.name, shown(text), value, self._where(name.line), of_a_profile=True))

    def wrong(self, line: int, key: str, value: object, allowed: str, message: str) -> None:
        """One mistake; `line` counts within the entry."""
        text = shown(value) if value != "" else ""
        self.errors.append(PolicyError(shown(key, 300), text, self._where(line), allowed, message))

    def _where(self, line: int) -> Source:
        if self._source_map is None:
            return Source(f"profile {shown(self._profile)}")
        entry = self._source_map.where(("data", self._profile))
        return Source(entry.name, None if entry.line is None else entry.line + line)


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == "null"


def _key(name: str) -> Key | None:
    """The key of the table that a line of a profile names; those that are only checked have no place there."""
    found = keys.annotation(name) or keys.annotation(keys_pilotlight.DOMAIN + name)
    if found is None:
        found = next((key for key in keys.FIELDS if name in (key.name, key.path[-1])), None)
    return found if found is None or found.field or found.name in _NOT_IN_A_PROFILE else None


def _short(key: Key) -> str:
    return key.path[-1] if key in keys.FIELDS else key.name.removeprefix(keys_pilotlight.DOMAIN)
