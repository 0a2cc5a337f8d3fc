"""The command line: `up`, `explain`, `check`, `inject`, `status`, `doctor`, `replay`, `demo`; all commands, all flags.

Commands that simulate or look at a cluster make their arguments only when they are the one that is asked for: what
these need takes long to import.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from pilotlight import arguments
from pilotlight.cluster_choice import add_cluster

_EPILOG = """\
examples:
  pilotlight up -f manifests/examples/chat.yaml     serve a model from zero; Ctrl-C drains
  pilotlight explain default/chat --watch           why it has the replicas it has
  pilotlight check -f my-isvc.yaml                  every mistake in its policy
  pilotlight doctor                                 what a cluster lacks, and how to mend it
"""

_UP_EPILOG = """\
signals, none of which loses a request:
  SIGHUP            read the files again and replace what they change; with a mistake in them nothing changes.
                    A policy counts at once. Replicas are replaced, one by one, when their container changes,
                    containerConcurrency, a timeout or the queue. Services may come and go.
  SIGUSR1           a new controller and a new activator
  SIGUSR2           new replicas, one by one
  SIGINT, SIGTERM   drain and end; once more: end at once
"""


def command_line() -> argparse.ArgumentParser:
    """The parser of all of it; what it gives has `command`."""
    parser = argparse.ArgumentParser(
        prog="pilotlight",
        description="Lets models go out when nobody uses them, and lights them again for the next request.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands", parser_class=_Command
    )
    _add_up(commands.add_parser("up", help="serve InferenceServices on this machine, from zero"))
    _add_status(commands.add_parser("status", help="one line for each service"))
    _add_explain(commands.add_parser("explain", help="why a service has the replicas it has"))
    _add_check(commands.add_parser("check", help="every mistake in InferenceServices and their policies"))
    _add_inject(commands.add_parser("inject", help="put the queue proxy into InferenceServices, or take it out"))
    commands.add_parser("webhook", help="serve the admission webhooks, inside a cluster").fill = _webhook
    commands.add_parser("doctor", help="what a cluster lacks for Pilotlight, and how to mend it").fill = _doctor
    _add_replay(commands.add_parser("replay", help="decide again from a recording, and show what differs"))
    commands.add_parser(
        "simulate", help="what policies would have cost on your traffic, and how users fared"
    ).fill = _simulate
    commands.add_parser(
        "headroom", help="can any reactive policy hold a load with this start-up time?"
    ).fill = _headroom
    _add_demo(commands.add_parser("demo", help="three services through idle, burst and idle, with a report"))
    _add_example_server(commands.add_parser("example-server", help="a model server without a model, for trying out"))
    return parser


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.description = "Serve InferenceServices on this machine. Replicas are processes; none runs before a request."
    parser.epilog = _UP_EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _files(parser)
    _ports(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address that services listen on (%(default)s)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append readings and decisions as JSON lines")
    parser.add_argument(
        "--gpus", type=arguments.whole(0, 1024), metavar="N", help="deal N GPUs; default: what the machine has"
    )
    parser.add_argument(
        "--drain-seconds",
        type=arguments.seconds,
        default=30.0,
        metavar="S",
        help="time to finish at Ctrl-C (%(default)s)",
    )


def _add_status(parser: argparse.ArgumentParser) -> None:
    _api(parser)
    add_cluster(parser)
    parser.add_argument("--json", action="store_true", help="the API's answer as it is")


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="NAMESPACE/NAME", help="which service; `default/` may be left out")
    parser.add_argument("--watch", action="store_true", help="again whenever something changes, until Ctrl-C")
    parser.add_argument(
        "--json", action="store_true", help="the API's answer as it is; with --watch one line each time"
    )
    parser.add_argument(
        "--last", type=arguments.whole(0, 1000), default=8, metavar="N", help="decisions to show (%(default)s)"
    )
    _api(parser)
    add_cluster(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    _files(parser)
    _profiles(parser)


def _add_inject(parser: argparse.ArgumentParser) -> None:
    parser.description = "YAML in, YAML out: nothing else in the files changes. `-f -` reads from stdin."
    _files(parser)
    _profiles(parser)
    parser.add_argument("--image", metavar="IMAGE", help="of the queue proxy; default: the one of this version")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--upgrade", action="store_true", help="make a queue proxy that is there anew; restarts pods")
    action.add_argument("--remove", action="store_true", help="take out what was put in")
    parser.add_argument("--in-place", action="store_true", help="write the files themselves instead of stdout")
    parser.add_argument(
        "--first-port-only", action="store_true", help="accept that further ports of a model are gone from its Service"
    )


def _profiles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profiles", type=Path, metavar="FILE", help="the ConfigMap that named profiles are in")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.description = "Without -f, the decisions must come out byte for byte as recorded; exit status 1 if not."
    parser.add_argument(
        "recording",
        metavar="FILE",
        help="what `up --record FILE` has written; with --cluster, the NAMESPACE/NAME of a service that is recorded",
    )
    parser.add_argument(
        "-f", "--policy", type=Path, metavar="FILE", help="decide by the policies in this manifest instead"
    )
    add_cluster(parser)
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what came from the cluster")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    _ports(parser, first=0, api=None)
    parser.add_argument(
        "--report", type=Path, default=Path("demo-report.html"), metavar="FILE", help="page to write (%(default)s)"
    )
    parser.add_argument("--seed", type=arguments.whole(0, 2**31), default=1, help="of the load (%(default)s)")


def _add_example_server(parser: argparse.ArgumentParser) -> None:
    from pilotlight.example_server.options import add_arguments

    parser.description = "An example model server: no model, but the behaviour of one."
    add_arguments(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    from pilotlight.doctor.run import add_doctor

    add_doctor(parser)


def _webhook(parser: argparse.ArgumentParser) -> None:
    from pilotlight.webhook import add_webhook

    add_webhook(parser)


def _simulate(parser: argparse.ArgumentParser) -> None:
    from pilotlight.simulate.arguments import add_simulate

    add_simulate(parser)


def _headroom(parser: argparse.ArgumentParser) -> None:
    from pilotlight.headroom import add_headroom

    add_headroom(parser)


class _Command(argparse.ArgumentParser):
    """A command whose arguments may be made when it is the one that is asked for.

    Those that simulate name formats and profiles in theirs, and what knows these needs numpy, which takes long to
    import and is not there without the extra.
    """

    fill: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        fill, self.fill = self.fill, None
        if fill is not None:
            try:
                fill(self)
            except ModuleNotFoundError as error:
                if error.name not in ("numpy", "scipy"):
                    raise
                self.error(f"needs {error.name}: install pilotlight[simulate]")
        for word in args or ():
            # argparse would take the dashes away and leave the flag without a value of any type.
            if word.startswith("-") and word.endswith("=--"):
                self.error(f"argument {word.removesuffix('=--')}: expected one argument")
        return super().parse_known_args(args, namespace)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: reading a distribution's metadata takes long."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"pilotlight {version('pilotlight')}")
        parser.exit()


def _files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="FILE",
        help="InferenceServices and ServingRuntimes, YAML; - is stdin; may be given several times",
    )


def _ports(parser: argparse.ArgumentParser, first: int = 8081, api: str | None = arguments.DEFAULT_API) -> None:
    parser.add_argument(
        "--port",
        type=arguments.whole(0, 65_535),
        default=first,
        metavar="FIRST",
        help=f"port of the first service ({first or 'any that are free'})",
    )
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs of all processes there")
    _api(parser, api)


def _api(parser: argparse.ArgumentParser, default: str | None = arguments.DEFAULT_API) -> None:
    parser.add_argument(
        "--api",
        type=arguments.address,
        default=default,
        metavar="HOST:PORT",
        help=f"of the controller ({arguments.DEFAULT_API})",
    )
