"""The flags about clients: what they set, and what they say when they are wrong. Both processes have them."""

from __future__ import annotations

import pytest

from queue_proxy.http import HttpLimits
from queue_proxy.settings import parse

REQUIRED = ("--name", "a", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", "127.0.0.1:1")


def limits(*flags: str) -> HttpLimits:
    return parse([*REQUIRED, *flags]).clients


def test_without_flags_the_engine_s_own_bounds_hold() -> None:
    assert limits() == HttpLimits()


def test_each_flag_sets_its_bound() -> None:
    assert limits("--head-seconds", "1", "--body-seconds", "0", "--keep-alive-seconds", "650") == HttpLimits(
        head_seconds=1.0, body_seconds=0.0, idle_seconds=650.0
    )


@pytest.mark.parametrize("flag", ["--head-seconds", "--keep-alive-seconds"])
@pytest.mark.parametrize("value", ["0", "0.0"])
def test_what_would_leave_a_client_for_ever_is_refused(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        limits(flag, value)
    assert ended.value.code == 2
    assert f"argument {flag}: must be more than 0 seconds, not '{value}'" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--head-seconds", "--body-seconds", "--keep-alive-seconds"])
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e12", "soon"])
def test_what_is_no_time_is_refused(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        limits(f"{flag}={value}")
    assert f"argument {flag}: must be" in capsys.readouterr().err


def test_more_connections_than_files_can_be_opened_are_refused_by_the_limits_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (64, 4_096))
    assert limits("--connections", "2016").connections == 2_016
    assert limits("--connections", "0").connections == 0
    with pytest.raises(SystemExit) as ended:
        limits("--connections", "2017")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "argument --connections: 2017 clients need 4098 open files" in said
    assert "(RLIMIT_NOFILE); at most 2016 can be served" in said
