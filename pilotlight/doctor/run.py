"""`pilotlight doctor`: the command. Exit status 0: all good; 1: there are findings; 2: it cannot look."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING

from pilotlight.cluster_choice import ClusterChoice, add_cluster, choice, needs_client, opened
from pilotlight.controller_api import printable
from pilotlight.errors import CommandError
from pilotlight.terminal import write_data

if TYPE_CHECKING:
    from autoscaler.cluster.kubernetes.api_error import ApiError
    from autoscaler.cluster.kubernetes.connection import Connection
    from pilotlight.doctor.picture import Picture

_CANNOT_LOOK = 2
_FORBIDDEN = 403
_WITHIN = 10.0


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.description = (
        "Looks at a cluster and says what is missing, each with the evidence and a command or YAML that mends it. "
        "It changes nothing. Exit status 0: all good, notes aside; 1: there are findings; 2: it cannot look."
    )
    add_cluster(parser, always=True)
    parser.add_argument("--prometheus", metavar="URL", help="to ask for GPU metrics; default: what the controller asks")
    parser.add_argument("--json", action="store_true", help="for scripts: an object with `good` and `findings`")


def run_doctor(given: argparse.Namespace) -> int:
    """Examine a cluster; returns the exit status."""
    try:
        chosen = choice(given)
        with needs_client():
            from pilotlight.doctor.examination import examine
            from pilotlight.doctor.report import as_json, lines
        findings = examine(asyncio.run(_look(chosen, given.prometheus)))
    except CommandError as error:
        for line in str(error).splitlines():
            print(f"pilotlight: error: {line}", file=sys.stderr)
        return _CANNOT_LOOK
    if given.json:
        write_data(as_json(findings, str(chosen)))
    else:
        print("\n".join(lines(findings, str(chosen))))
    return int(any(finding.counts for finding in findings))


async def _look(chosen: ClusterChoice, prometheus: str | None) -> Picture:
    """The picture. Raises CommandError when there is none to be had."""
    from autoscaler.cluster.kubernetes.api_error import ApiError
    from autoscaler.cluster.kubernetes.credentials import ConnectionSettingsError
    from pilotlight.doctor.picture import take

    try:
        async with opened(chosen) as connection:
            await _answers(connection)
            return await take(connection, chosen.namespace, time.time(), prometheus)
    except ConnectionSettingsError as error:
        raise CommandError(str(error)) from error
    except ApiError as error:
        raise CommandError(cannot_look(str(chosen), error)) from error


def cannot_look(where: str, error: ApiError) -> str:
    """Why nothing can be said of a cluster whose API server did not even tell its version."""
    said = printable(error.message)
    match error.status:
        case 0:
            return f"the API server of {where} does not answer: {said}"
        case 401:
            return f"the API server of {where} does not know who asks: {said}; log in anew, or name another --context"
        case _:
            return f"what answers for {where} is no API server, or is not well: {said}"


async def _answers(connection: Connection) -> None:
    """Raises ApiError when it does not: then nothing can be said. Who may not see the version may see other things."""
    from autoscaler.cluster.kubernetes.api_error import ApiError

    try:
        await connection.request("GET", "/version", within=_WITHIN)
    except ApiError as error:
        if error.status != _FORBIDDEN:
            raise
