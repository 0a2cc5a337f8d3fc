"""The command line: what is wrong is said on stderr in one form, and the exit status tells which kind of wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotlight.arguments import host_and_port
from pilotlight.cli import main
from pilotlight.command_line import command_line
from tests.unit.pilotlight.command_world import GOOD, FakeController, errors_of


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["nonsense"],
        ["up"],
        ["check"],
        ["up", "-f", "x.yaml", "--port", "70000"],
        ["up", "-f", "x.yaml", "--gpus", "-1"],
        ["up", "-f", "x.yaml", "--drain-seconds", "nan"],
        ["explain", "x", "--last", "many"],
        ["explain", "x", "--last", "9" * 5000],
        ["explain", "x", "--last=--"],
        ["headroom", "poisson", "--startup=--"],
        ["status", "--api", "nowhere"],
        ["status", "--api", "127.0.0.1:0"],
        ["status", "--api", "127.0.0.1:65536"],
        ["example-server", "--fail-start", "3"],
    ],
)
def test_a_wrong_command_line_ends_with_status_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "error" in said
    assert "invalid parse value" not in said, "argparse says this of what a type did not expect"


@pytest.mark.parametrize("command", ["up", "status", "explain", "check", "replay", "demo", "example-server"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: pilotlight {command}" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "port"), [(["up", "-f", "x.yaml"], 8081), (["demo"], 0)])
def test_services_have_ports_that_can_be_remembered_and_a_demo_takes_what_is_free(
    arguments: list[str], port: int
) -> None:
    assert command_line().parse_args(arguments).port == port


def test_up_without_a_command_to_run_says_which_image_and_what_to_write(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(GOOD.replace('        command: ["pilotlight", "example-server"]\n', ""))
    assert main(["up", "-f", str(manifest), "--port", "0"]) == 1
    (error,) = errors_of(capsys)
    assert "example.com/model:1" in error
    assert "command" in error


def test_up_beyond_the_machine_says_what_is_there(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = 'resources: {limits: {memory: "9Pi", nvidia.com/gpu: "3"}}'
    manifest.write_text(GOOD.replace("        args", f"        {limits}\n        args"))
    assert main(["up", "-f", str(manifest), "--port", "0", "--gpus", "2"]) == 1
    errors = errors_of(capsys)
    assert any("memory" in error for error in errors)
    assert any("asked 3, available 2" in error for error in errors)


def test_up_on_a_taken_port_names_port_service_and_flag(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["up", "-f", str(manifest), "--port", str(port)]) == 1
        (error,) = errors_of(capsys)
    assert f"port {port}" in error
    assert "default/good" in error
    assert "--port" in error


def test_up_on_a_taken_api_port_names_the_flag(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["up", "-f", str(manifest), "--port", "0", "--api", address]) == 1
    (error,) = errors_of(capsys)
    assert "--api" in error


@pytest.mark.parametrize("place", ["nowhere/file", "."])
@pytest.mark.parametrize(("command", "flag"), [("up", "--record"), ("demo", "--report")])
def test_a_file_that_cannot_be_written_is_found_out_before_anything_runs(
    command: str, flag: str, place: str, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["-f", str(manifest)] if command == "up" else []
    assert main([command, *files, flag, str(tmp_path / place)]) == 1
    (error,) = errors_of(capsys)
    assert flag in error


@pytest.mark.parametrize("command", [["status"], ["explain", "default/good"], ["explain", "good", "--watch"]])
def test_without_a_controller_the_error_says_what_to_start(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        address = f"127.0.0.1:{free.getsockname()[1]}"
        assert main([*command, "--api", address]) == 1
    (error,) = errors_of(capsys)
    assert "pilotlight up" in error
    assert address in error


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["explain", "x", "--json"], ["explain", "x"]])
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_no_controller_is_said_to_be_none(
    command: list[str], status: int, api: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (status, b"<html>")
    FakeController.answers = {"/services": page, "/explain/default/x?last=8": page}
    assert main([*command, "--api", api]) == 1
    assert errors_of(capsys) == [
        f"pilotlight: error: the controller at {api} does not answer in JSON, as a controller of Pilotlight does"
    ]


def test_an_unknown_service_is_an_error(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "nobody", "--api", api]) == 1
    (error,) = errors_of(capsys)
    assert "default/nobody" in error


def test_a_controller_in_trouble_is_an_error(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    FakeController.answers = {"/services": (500, b"oops\x1b[2J")}
    assert main(["status", "--api", api]) == 1
    (error,) = errors_of(capsys)
    assert "500" in error
    assert "\x1b" not in error


def test_status_prints_one_line_a_service_and_unknown_is_a_question_mark(
    api: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service = {"service": "default/chat", "phase": "serving", "mode": "shadow", "ready": 2, "in_flight": None}
    FakeController.answers = {"/services": (200, json.dumps({"services": [service]}).encode())}
    assert main(["status", "--api", api]) == 0
    headings, line = capsys.readouterr().out.splitlines()
    assert headings.startswith("SERVICE")
    assert line.startswith("default/chat  serving, shadow")
    assert line[headings.index("IN FLIGHT")] == "?"
    assert main(["status", "--api", api, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"services": [service]}


def test_status_says_why_there_is_nothing_to_see(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    FakeController.answers = {"/services": (200, b'{"services": []}')}
    assert main(["status", "--api", api]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("SERVICE")
    assert "pilotlight.dev/scaling" in printed.err


def test_status_says_first_what_keeps_a_replica_from_being_ready(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    trouble = "chat-a is failed: the model ended: exit code 3"
    service = {"service": "default/chat", "phase": "waking", "explanation": "Stays at 1.", "trouble": trouble}
    FakeController.answers = {"/services": (200, json.dumps({"services": [service]}).encode())}
    assert main(["status", "--api", api]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith(f"  {trouble}. Stays at 1.")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "No such file"),
        (b"", "no decision"),
        (b"{}\n{}\n", ":1:"),
        (b"\xff\xfe", "UTF-8"),
        (b"no json\n\n", ":1:"),
    ],
)
def test_replay_of_what_is_no_recording_is_an_error(
    text: bytes | None, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "run.jsonl"
    if text is not None:
        recording.write_bytes(text)
    assert main(["replay", str(recording)]) == 1
    assert any(named in error for error in errors_of(capsys))


def test_who_asks_for_an_unknown_service_is_told_which_there_are(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    body = b'{"error": "there is no service default/chat", "services": ["team-a/chat", "team-b/chat"]}'
    FakeController.answers = {"/explain/default/chat?last=8": (404, body)}
    assert main(["explain", "chat", "--api", api]) == 1
    assert errors_of(capsys) == [
        "pilotlight: error: there is no service default/chat; there are: team-a/chat, team-b/chat"
    ]


def test_what_comes_from_this_machine_is_not_saved_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "run.jsonl"
    recording.write_text("")
    assert main(["replay", str(recording), "--save", str(tmp_path / "copy.jsonl")]) == 1
    assert errors_of(capsys)[0].startswith("pilotlight: error: --save is for a recording that comes from a cluster")


def test_only_what_an_extra_brings_is_said_to_be_missing_for_want_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacks(name: str) -> Callable[[object], None]:
        def fill(parser: object) -> None:
            raise ModuleNotFoundError(f"no {name}", name=name)

        return fill

    monkeypatch.setattr("pilotlight.command_line._simulate", lacks("numpy"))
    with pytest.raises(SystemExit):
        main(["simulate", "x"])
    assert "needs numpy: install pilotlight[simulate]" in capsys.readouterr().err
    monkeypatch.setattr("pilotlight.command_line._simulate", lacks("something of ours"))
    with pytest.raises(ModuleNotFoundError, match="something of ours"):
        command_line().parse_args(["simulate", "x"])


def test_an_address_is_taken_apart_without_its_brackets() -> None:
    assert host_and_port("[::1]:7330") == ("::1", 7330)
    assert host_and_port("127.0.0.1:80") == ("127.0.0.1", 80)
