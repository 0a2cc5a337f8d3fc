"""`pilotlight inject`: the queue proxy put into InferenceServices, or taken out; YAML in, YAML out."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from admission.files import Change, ChangedFile, FileContent, change_file, read_file_content
from admission.inject import Injection, InjectionSettings, Refusals, inject, remove
from autoscaler.policy.errors import SourceMap
from autoscaler.policy.profiles import NO_PROFILES
from pilotlight.errors import CommandError

_MOST_BYTES = 1024 * 1024
_STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class InjectOptions:
    """The command line."""

    files: tuple[Path, ...]
    image: str
    upgrade: bool
    remove: bool
    in_place: bool
    first_port_only: bool
    profiles: Path | None


def default_image() -> str:
    """The image of this version."""
    return f"pilotlight:{version('pilotlight')}"


def run_inject(options: InjectOptions) -> int:
    """Write the changed files to stdout, or where they were; remarks go to stderr.

    Raises CommandError with everything that is wrong; then nothing at all is written.
    """
    if options.in_place and _STDIN in options.files:
        raise CommandError("--in-place: stdin (-f -) has no place")
    contents = [_read(path) for path in options.files]
    beside = [*contents, *([_read(options.profiles)] if options.profiles else [])]
    profiles = next((content.profiles for content in reversed(beside) if content.profiles.by_name), NO_PROFILES)
    settings = InjectionSettings(
        image=options.image,
        runtimes=[runtime for content in contents for runtime in content.runtimes],
        profiles=profiles,
        upgrade=options.upgrade,
        first_port_only=options.first_port_only,
    )
    change: Change = _taking_out if options.remove else functools.partial(_putting_in, settings)
    changed = [change_file(content, change) for content in contents]
    mistakes = [str(error) for file in changed for error in file.errors]
    if not any(found.kind == "InferenceService" for content in contents for found in content.objects) and not mistakes:
        mistakes = [f"{', '.join(map(str, options.files))}: there is no InferenceService in it"]
    if mistakes:
        raise CommandError("\n".join(mistakes))
    _write(options, contents, changed)
    return 0


def _putting_in(settings: InjectionSettings, body: Mapping[str, object], source_map: SourceMap) -> Injection | Refusals:
    return inject(body, settings, source_map)


def _taking_out(body: Mapping[str, object], source_map: SourceMap) -> Injection | Refusals:
    return remove(body)


def _read(path: Path) -> FileContent:
    """The file, or stdin for `-`. Raises CommandError."""
    name = "stdin" if path == _STDIN else str(path)
    try:
        with sys.stdin.buffer if path == _STDIN else path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{name}: is not UTF-8: byte 0x{error.object[error.start]:02x}") from error
    if len(data) > _MOST_BYTES:
        raise CommandError(f"{name}: is larger than {_MOST_BYTES // 1024} KiB, too large for a manifest")
    return read_file_content(name, text)


def _write(options: InjectOptions, contents: Sequence[FileContent], changed: Sequence[ChangedFile]) -> None:
    for file in changed:
        for remark in file.remarks:
            print(remark, file=sys.stderr)
    if options.in_place:
        for path, content, file in zip(options.files, contents, changed, strict=True):
            if file.text != content.text:
                _replace(path, file.text)
        return
    out = ""
    for file in changed:
        if out and not file.text.startswith("---"):
            out += "---\n"
        out += file.text if file.text.endswith("\n") or len(changed) == 1 else file.text + "\n"
    sys.stdout.flush()
    sys.stdout.buffer.write(out.encode())


def _replace(path: Path, text: str) -> None:
    """Write a file so that it is at no time half written."""
    target = path.resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_bytes(text.encode())
        beside.chmod(target.stat().st_mode & 0o7777)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise CommandError(f"{path}: cannot be written: {error.strerror or error}") from error
