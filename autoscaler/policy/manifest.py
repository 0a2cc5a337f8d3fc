"""Manifests: YAML files in, the InferenceServices and runtimes in them out, each with the line of every key.

Everything that is wrong with the files is reported at once and in their order. Whether a service's policy makes sense
is not asked here; `check` does both.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from autoscaler.policy.errors import PolicyError, PolicyErrors, Source, SourceMap, shown
from autoscaler.policy.profiles import CONFIG_MAP, NO_PROFILES, Profiles, read_profiles
from autoscaler.policy.yaml_documents import Document, read_documents

_GROUP = "serving.kserve.io"
_MOST_BYTES = 1024 * 1024
_STDIN = Path("-")
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
# KServe names the Service `<name>-predictor`, and that has to be one DNS label.
_LONGEST_SERVICE_NAME = 63 - len("-predictor")


class ManifestKind(Enum):
    """The kinds that are read."""

    INFERENCE_SERVICE = "InferenceService"
    SERVING_RUNTIME = "ServingRuntime"
    CLUSTER_SERVING_RUNTIME = "ClusterServingRuntime"
    PROFILES = "ConfigMap"


_RUNTIMES = (ManifestKind.SERVING_RUNTIME, ManifestKind.CLUSTER_SERVING_RUNTIME)
_VERSIONS = {
    ManifestKind.INFERENCE_SERVICE: f"{_GROUP}/v1beta1",
    ManifestKind.SERVING_RUNTIME: f"{_GROUP}/v1alpha1",
    ManifestKind.CLUSTER_SERVING_RUNTIME: f"{_GROUP}/v1alpha1",
    ManifestKind.PROFILES: "v1",
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object from a file. `namespace` is "" for an object of the whole cluster."""

    kind: ManifestKind
    namespace: str
    name: str
    body: Mapping[str, object]
    source: SourceMap

    @property
    def service(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def where(self) -> Source:
        """Where the object begins."""
        return self.source.where(())


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the files hold, in their order."""

    services: tuple[Manifest, ...]
    runtimes: tuple[Manifest, ...]
    profiles: Profiles = NO_PROFILES


@dataclass(slots=True)
class Collected:
    """What could be read and what is wrong, in the order of the files."""

    manifests: list[Manifest] = field(default_factory=list)
    errors: list[PolicyError] = field(default_factory=list)

    @property
    def profiles(self) -> Profiles:
        """Those of the ConfigMap among the files; none when there is no such ConfigMap."""
        config_maps = (m for m in self.manifests if m.kind is ManifestKind.PROFILES)
        return next((read_profiles(m.body, m.source) for m in config_maps), NO_PROFILES)


def manifests_of(collected: Collected, paths: Sequence[Path], *, profiles_alone: bool = False) -> Manifests:
    """What was collected from `paths`. Raises PolicyErrors without any service, unless profiles may stand alone."""
    services = tuple(m for m in collected.manifests if m.kind is ManifestKind.INFERENCE_SERVICE)
    runtimes = tuple(m for m in collected.manifests if m.kind in _RUNTIMES)
    if not services and not (profiles_alone and collected.profiles.by_name):
        raise PolicyErrors([_flaw(Source(", ".join(map(_name, paths))), "there is no InferenceService in it")])
    return Manifests(services, runtimes, collected.profiles)


def collect_manifests(paths: Sequence[Path]) -> Collected:
    """Each InferenceService, ServingRuntime and ClusterServingRuntime in `paths`, and the profiles; beside them what is
    wrong: files that cannot be read, text that is not YAML, objects of other kinds, names that Kubernetes would not
    take, the same object twice. Objects with a wrong name are among both. The path `-` is stdin."""
    collected = Collected()
    seen: dict[tuple[ManifestKind, str, str], Source] = {}
    for path in paths:
        for found in _read_file(path):
            if isinstance(found, PolicyError):
                collected.errors.append(found)
                continue
            collected.manifests.append(found)
            # There is one set of profiles, wherever the ConfigMap is said to belong.
            namespace = "" if found.kind is ManifestKind.PROFILES else found.namespace
            identity = (found.kind, namespace, found.name)
            if found.name and identity in seen:
                name = shown(found.name)
                message = f"{found.kind.value} {name} is here a second time; the first is at {seen[identity]}"
                collected.errors.append(_flaw(found.where, message))
            seen.setdefault(identity, found.where)
    return collected


def _name(path: Path) -> str:
    return "stdin" if path == _STDIN else str(path)


def _read_file(path: Path) -> Iterator[Manifest | PolicyError]:
    file = _name(path)
    text = _text(path)
    if isinstance(text, PolicyError):
        yield text
        return
    empty = True
    for document in read_documents(text):
        for flaw in document.flaws:
            yield PolicyError(shown(flaw.key), "", Source(file, flaw.line), "", shown(flaw.message, 300))
        empty = empty and document.value is None and not document.flaws
        if document.value is not None:
            yield from _objects(file, document)
    if empty:
        yield _flaw(Source(file), "is empty")


def _text(path: Path) -> str | PolicyError:
    source = Source(_name(path))
    try:
        if path == _STDIN:
            data = sys.stdin.buffer.read(_MOST_BYTES + 1)
        elif path.is_dir():
            return _flaw(source, "is a directory; name the files in it")
        else:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return _flaw(source, "does not exist")
    except (OSError, ValueError) as error:
        return _flaw(source, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(data) > _MOST_BYTES:
        return _flaw(source, f"is larger than {_MOST_BYTES // 1024} KiB, too large for a manifest")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _flaw(Source(source.name, line), f"is not UTF-8: byte 0x{data[error.start]:02x}")


def _objects(file: str, document: Document) -> Iterator[Manifest | PolicyError]:
    """The object of a document, or each of those in a `kind: List`, as kubectl writes them."""
    body = document.value
    whole = SourceMap(file, document.lines)
    items = body.get("items") if isinstance(body, Mapping) else None
    if isinstance(body, Mapping) and body.get("kind") in ("List", "InferenceServiceList") and isinstance(items, list):
        for index, item in enumerate(items):
            prefix = ("items", index)
            lines = {path[2:]: line for path, line in document.lines.items() if path[:2] == prefix}
            yield from _object(item, SourceMap(file, lines))
    else:
        yield from _object(body, whole)


def _object(body: object, source: SourceMap) -> Iterator[Manifest | PolicyError]:
    if not isinstance(body, Mapping):
        yield _flaw(source.where(()), "is not an object: apiVersion, kind, metadata and spec are expected")
        return
    kind = _kind(body, source)
    if isinstance(kind, PolicyError):
        yield kind
        return
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        yield PolicyError("metadata", "", source.where(("metadata",)), "a mapping with a name", "is missing")
        return
    yield from _names(kind, metadata, source)
    wrong = list(_spec(kind, body, source))
    yield from wrong
    if not wrong:  # whatever its name is, its policy can be looked at
        yield Manifest(kind, _namespace(kind, metadata), str(metadata.get("name") or ""), body, source)


def _kind(body: Mapping[str, object], source: SourceMap) -> ManifestKind | PolicyError:
    name, version = body.get("kind"), body.get("apiVersion")
    allowed = ", ".join(f"{kind.value} of {version}" for kind, version in _VERSIONS.items())
    kind = next((kind for kind in ManifestKind if kind.value == name), None)
    if kind is None:
        what = f"of apiVersion {shown(version)} is not an InferenceService" if name else "is missing"
        return PolicyError("kind", shown(name) if name else "", source.where(("kind",)), allowed, what)
    if version != _VERSIONS[kind]:
        what = f"is not an apiVersion of {kind.value} that is read" if version else "is missing"
        value = shown(version) if version else ""
        return PolicyError("apiVersion", value, source.where(("apiVersion",)), _VERSIONS[kind], what)
    return kind


def _names(kind: ManifestKind, metadata: Mapping[str, object], source: SourceMap) -> Iterator[PolicyError]:
    name = metadata.get("name")
    where = source.where(("metadata", "name"))
    if kind is ManifestKind.INFERENCE_SERVICE:
        pattern, longest = _SERVICE_NAME, _LONGEST_SERVICE_NAME
        allowed = f"1 to {longest} of a-z, 0-9 and -, beginning with a letter and not ending with -"
    else:
        pattern, longest = _SUBDOMAIN, 253
        allowed = f"1 to {longest} of a-z, 0-9, - and ., beginning and ending with a letter or digit"
    if name is None or name == "":
        yield PolicyError("metadata.name", "", where, allowed, "is missing")
    elif not isinstance(name, str):
        yield PolicyError("metadata.name", shown(name), where, allowed, "is not text; put it in quotes")
    elif len(name) > longest or not pattern.fullmatch(name):
        yield PolicyError("metadata.name", shown(name), where, allowed, "is not a name that Kubernetes takes")
    elif kind is ManifestKind.PROFILES and name != CONFIG_MAP:
        message = "is a ConfigMap that is not read here; profiles are in the one named so"
        yield PolicyError("metadata.name", shown(name), where, CONFIG_MAP, message)
    namespace = metadata.get("namespace")
    if namespace is not None and not (
        isinstance(namespace, str) and _LABEL.fullmatch(namespace) and len(namespace) < 64
    ):
        where = source.where(("metadata", "namespace"))
        allowed = "1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
        message = "is not a namespace that Kubernetes takes"
        yield PolicyError("metadata.namespace", shown(namespace), where, allowed, message)


def _spec(kind: ManifestKind, body: Mapping[str, object], source: SourceMap) -> Iterator[PolicyError]:
    if kind is ManifestKind.PROFILES:
        return
    spec = body.get("spec")
    if not isinstance(spec, Mapping):
        yield PolicyError("spec", "", source.where(("spec",)), "a mapping", "is missing or not a mapping")
    elif kind is ManifestKind.INFERENCE_SERVICE and not isinstance(spec.get("predictor"), Mapping):
        where = source.where(("spec", "predictor"))
        yield PolicyError("spec.predictor", "", where, "a mapping", "is missing or not a mapping")


def _namespace(kind: ManifestKind, metadata: Mapping[str, object]) -> str:
    if kind is ManifestKind.CLUSTER_SERVING_RUNTIME:
        return ""
    return str(metadata.get("namespace") or "default")


def _flaw(source: Source, message: str) -> PolicyError:
    return PolicyError("", "", source, "", message)
