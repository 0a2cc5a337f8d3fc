"""`pilotlight replay`: decide again from a recording, and print what differs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from autoscaler.policy.check import check
from autoscaler.policy.manifest import load_manifests
from autoscaler.policy.parse import read_policy
from autoscaler.policy.scaling_policy import ScalingPolicy
from pilotlight.errors import CommandError
from simulations.replay import Difference, ReplayError, ReplayResult, replay

_SHOWN = 200


def run_replay(recording: Path, policy: Path | None) -> int:
    """Print the comparison; status 1 when decisions differ by the recorded policy itself. Raises CommandError."""
    policies = {} if policy is None else _policies(policy)
    try:
        with recording.open(encoding="utf-8") as lines:
            result = replay(lines, policies, name=str(recording))
    except ReplayError as error:
        raise CommandError(str(error)) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{recording}: is not a recording: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise CommandError(f"{recording}: {error.strerror}") from error
    if result.decisions == 0:
        raise CommandError(f"{recording}: there is no decision in it")
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
    mistakes = check([path])
    if mistakes:
        raise CommandError("\n".join(map(str, mistakes)))
    manifests = load_manifests([path])
    return {
        manifest.service: read_policy(manifest.body, manifest.source, manifests.profiles)
        for manifest in manifests.services
    }
