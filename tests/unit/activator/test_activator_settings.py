"""The command line: what is meant, and what is refused with one line that says why."""

from __future__ import annotations

import pytest

from activator.link import ControlTarget
from activator.settings import parse
from queue_proxy.listening_sockets import Address

NEEDED = ("--name", "one", "--control", "unix:/run/p/control.sock")


def test_everything_that_can_be_told() -> None:
    settings = parse(
        [
            *("--name", "one", "--control", "http://10.0.0.1:7331/", "--admin", "[::1]:9", "--bind", "0.0.0.0"),
            *("--listen", "default/chat=fd:7", "--listen", "team-a/x.y=127.0.0.1:80"),
            *("--drain-seconds", "1.5", "--comment-seconds", "0", "--hold-requests", "7", "--hold-bytes", "4096"),
        ]
    )
    assert settings.control == ControlTarget("http://10.0.0.1:7331")
    assert settings.admin == Address("::1", 9)
    assert settings.listen == (("default/chat", Address(fd=7)), ("team-a/x.y", Address("127.0.0.1", 80)))
    assert (settings.hold_requests, settings.hold_bytes) == (7, 4096)
    assert (settings.bind, settings.drain_seconds, settings.comment_seconds) == ("0.0.0.0", 1.5, 0.0)


def test_a_unix_socket_of_the_controller() -> None:
    assert parse(NEEDED).control == ControlTarget("http://controller", "/run/p/control.sock")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--control", "unix:relative"), "absolute path"),
        (("--hold-requests", "0"), "whole number from 1"),
        (("--hold-bytes", "64Mi"), "whole number from 1"),
        (("--hold-bytes", "9" * 5000), "whole number from 1"),
        (("--control", "unix:/" + "x" * 107), "107 bytes"),
        (("--control", "ftp://host"), "http://HOST:PORT"),
        (("--control", "http://host:0"), "http://HOST:PORT"),
        (("--control", "http://host:99999"), "http://HOST:PORT"),
        (("--control", "http://host/path"), "http://HOST:PORT"),
        (("--name", "../up"), "letters"),
        (("--name", ""), "letters"),
        (("--listen", "chat=fd:3"), "NAMESPACE/NAME=ADDR"),
        (("--listen", "default/chat=fd:x"), "fd:N"),
        (("--listen", "default/chat=host:70000"), "0..65535"),
        (("--listen", "a/b=fd:3", "--listen", "a/b=fd:4"), "twice"),
        (("--drain-seconds", "nan"), "seconds within"),
        (("--comment-seconds", "-1"), "seconds within"),
        (("--unknown", "1"), "unrecognized"),
    ],
)
def test_a_wrong_flag_ends_with_status_2_and_one_line(
    flags: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([*NEEDED, *flags])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert says in message
    assert message.count("\n") == 1
