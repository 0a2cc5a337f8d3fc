"""`pilotlight replay`: decide again from a recording, and print what differs."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote

from autoscaler.policy.parse import read_policy
from autoscaler.policy.scaling_policy import ScalingPolicy
from pilotlight.cluster_choice import ClusterChoice
from pilotlight.errors import CommandError
from pilotlight.given_manifests import given_manifests
from pilotlight.output_file import check_writable
from simulations.replay import Difference, ReplayError, ReplayResult, replay

_SHOWN = 200


def run_cluster_replay(chosen: ClusterChoice, service: str, policy: Path | None, save: Path | None) -> int:
    """The same for what the controller that leads in a cluster has recorded of a service. Raises CommandError."""
    from pilotlight.cluster_controller import ClusterController

    if save is not None:
        check_writable(save, "--save")
    name = service if "/" in service else f"default/{service}"
    with tempfile.NamedTemporaryFile(prefix="pilotlight-", suffix=".jsonl") as fetched:
        with ClusterController(chosen) as controller:
            controller.save(f"/recording?service={quote(name, safe='')}", cast(BinaryIO, fetched))
        fetched.flush()
        if fetched.tell() == 0:
            raise CommandError(f"{controller.place} has recorded nothing of {name}")
        if save is not None:
            shutil.copyfile(fetched.name, save)
        return run_replay(Path(fetched.name), policy, name=str(save or name))


def run_replay(recording: Path, policy: Path | None, *, name: str = "") -> int:
    """Print the comparison; status 1 when decisions differ by the recorded policy itself. Raises CommandError.

    `name` is what messages call the recording, where its file has none to speak of.
    """
    name = name or str(recording)
    policies = {} if policy is None else _policies(policy)
    try:
        with recording.open(encoding="utf-8") as lines:
            result = replay(lines, policies, name=name)
    except ReplayError as error:
        raise CommandError(str(error)) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{name}: is not a recording: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from error
    if result.decisions == 0:
        raise CommandError(f"{name}: there is no decision in it")
    for line in replay_lines(result):
        print(line)
    return 1 if result.differences and policy is None else 0


def replay_lines(result: ReplayResult) -> list[str]:
    """What came out differently, each decision one line, and how many were the same."""
    lines = [_difference(difference) for difference in result.differences[:_SHOWN]]
    if len(result.differences) > _SHOWN:
        lines.append(f"… and {len(result.differences) - _SHOWN} more")
    if result.truncated:
        lines.append(f"remark: {result.truncated}")
    if result.undecided:
        lines.append(f"remark: {result.undecided} readings at the end without a decision")
    services = ", ".join(result.services)
    count = f"{result.identical} of {result.decisions} decisions are the same, byte for byte"
    return [*lines, f"{count} ({services})"]


def _difference(difference: Difference) -> str:
    when = time.strftime("%H:%M:%S", time.localtime(difference.at))
    return f"line {difference.line}  {when}  {difference.service}  {difference.why}"


def _policies(path: Path) -> Mapping[str, ScalingPolicy]:
    manifests = given_manifests([path])
    return {
        manifest.service: read_policy(manifest.body, manifest.source, manifests.profiles)
        for manifest in manifests.services
    }
