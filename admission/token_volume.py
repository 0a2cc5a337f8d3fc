"""The volume with the token by which a queue proxy proves to the controller which pod it is.

A volume is the pod's and not the sidecar's, and stands in a list that is the user's as well: what puts a sidecar in or
back sees to it that the volume that it mounts is there, because without it no pod could be made at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from admission.editor import Editor
from admission.edits import Edit, Operation
from admission.record import Entry, NamedPath

DIRECTORY = "/var/run/secrets/pilotlight"
TOKEN_FILE = f"{DIRECTORY}/token"
_NAME = "pilotlight-token"
_VOLUMES: NamedPath = ("spec", "predictor", "volumes")
# Shown once, within a second of the pod's start. It ends with its pod, and until then kubelet renews it: as seldom as
# it ever does.
_TOKEN = {"path": "token", "audience": "pilotlight-controller", "expirationSeconds": 86_400}
_VOLUME: Mapping[str, object] = {"name": _NAME, "projected": {"sources": [{"serviceAccountToken": _TOKEN}]}}
MOUNT: Mapping[str, object] = {"name": _NAME, "mountPath": DIRECTORY, "readOnly": True}


def volume_entries(editor: Editor) -> tuple[Entry, ...]:
    """What the record has to say of the volume, before it is put in."""
    entry = Entry((*_VOLUMES, _NAME), dict(_VOLUME))
    return (entry,) if isinstance(editor.get(_VOLUMES), list) else (Entry(_VOLUMES, []), entry)


def put_volume(editor: Editor, sidecar: Mapping[str, object]) -> None:
    """Put the volume in, if this sidecar mounts it and it is missing."""
    volumes = editor.get(_VOLUMES)
    if not mounts_token(sidecar) or _named(volumes):
        return
    if isinstance(volumes, list):
        editor.edit(Edit(Operation.ADD, (*_VOLUMES, len(volumes)), dict(_VOLUME)))
    else:
        editor.edit(Edit(Operation.ADD, _VOLUMES, [dict(_VOLUME)]))


def mounts_token(sidecar: Mapping[str, object]) -> bool:
    """Whether this sidecar needs the volume."""
    return _named(sidecar.get("volumeMounts"))


def other_mounts(sidecar: Mapping[str, object]) -> list[object]:
    """The mounts of a sidecar that are not ours."""
    mounts = sidecar.get("volumeMounts")
    return [mount for mount in mounts if not _named([mount])] if isinstance(mounts, list) else []


def _named(entries: object) -> bool:
    listed = entries if isinstance(entries, list) else []
    return any(isinstance(entry, Mapping) and entry.get("name") == _NAME for entry in listed)
