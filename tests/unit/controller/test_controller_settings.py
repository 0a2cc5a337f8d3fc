"""The command line is checked at once and completely."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from autoscaler.controller.settings import (
    Address,
    ClusterTarget,
    Lease,
    PrometheusAddress,
    SettingsError,
    TcpAddress,
    UnixAddress,
    address_from,
    config_from,
)

REQUIRED = ["--cluster", "local:/run/agent.sock", "--control", "unix:/run/control.sock", "--api", "127.0.0.1:7330"]


def test_a_command_line_becomes_one_value() -> None:
    config = config_from([*REQUIRED, "--record", "run.jsonl", "--log-level", "debug"])
    assert config.cluster == ClusterTarget("local", "/run/agent.sock")
    assert config.control == UnixAddress(Path("/run/control.sock"))
    assert config.api == TcpAddress("127.0.0.1", 7330)
    assert config.record == Path("run.jsonl")
    assert config.log_level == logging.DEBUG


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/c.sock", UnixAddress(Path("/run/c.sock"))),
        ("127.0.0.1:0", TcpAddress("127.0.0.1", 0)),
        ("localhost:65535", TcpAddress("localhost", 65_535)),
        ("[::1]:80", TcpAddress("::1", 80)),
    ],
)
def test_addresses_read_and_write_the_same(text: str, address: Address) -> None:
    assert address_from(text, "--control") == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:",
        "unix:relative",
        f"unix:/{'x' * 107}",
        ":80",
        "host",
        "host:",
        "host:65536",
        "host:-1",
        "::1:80",
        "a b:1",
    ],
)
def test_what_is_no_address_is_refused_with_its_flag(text: str) -> None:
    with pytest.raises(SettingsError, match="--control"):
        address_from(text, "--control")


@pytest.mark.parametrize("target", ["", "local", "local:", ":x"])
def test_a_cluster_has_a_kind_and_an_address(target: str) -> None:
    with pytest.raises(SettingsError, match="KIND:ADDRESS"):
        config_from(["--cluster", target, *REQUIRED[2:]])


@pytest.mark.parametrize("missing", ["--cluster", "--control", "--api"])
def test_what_is_required_is_named(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    at = REQUIRED.index(missing)
    with pytest.raises(SystemExit):
        config_from(REQUIRED[:at] + REQUIRED[at + 2 :])
    assert missing in capsys.readouterr().err


IN_CLUSTER = ["--cluster", "kubernetes:in-cluster", "--control", "0.0.0.0:7331", "--api", "0.0.0.0:7330"]
ACTIVATORS = ["--activators", "pilotlight-system/pilotlight-activator"]
LEASE = ["--lease", "pilotlight-system/pilotlight-controller"]


def test_a_controller_among_several_says_for_which_lease_and_who_it_is() -> None:
    config = config_from([*IN_CLUSTER, *ACTIVATORS, *LEASE, "--identity", "one"], {"POD_IP": "10.0.0.7"})
    assert config.lease == Lease("pilotlight-system", "pilotlight-controller")
    assert (config.identity, config.pod_address) == ("one", "10.0.0.7")
    assert config.activators == "pilotlight-system/pilotlight-activator"


def test_in_a_cluster_a_port_that_asks_nobody_who_he_is_is_refused() -> None:
    with pytest.raises(SettingsError, match="--activators"):
        config_from(IN_CLUSTER, {})


def test_in_a_cluster_a_unix_socket_needs_no_tokens() -> None:
    unix = ["--cluster", "kubernetes:/kubeconfig", "--control", "unix:/run/c.sock", "--api", "127.0.0.1:0"]
    assert config_from(unix, {}).activators == ""


def test_a_lease_without_an_address_that_activators_could_be_led_to_is_refused() -> None:
    with pytest.raises(SettingsError, match="POD_IP"):
        config_from([*IN_CLUSTER, *ACTIVATORS, *LEASE], {})


@pytest.mark.parametrize("flags", [ACTIVATORS, LEASE])
def test_what_is_for_clusters_is_refused_on_one_machine(flags: list[str]) -> None:
    with pytest.raises(SettingsError, match=flags[0]):
        config_from([*REQUIRED, *flags], {"POD_IP": "10.0.0.7"})


@pytest.mark.parametrize("name", ["", "lease", "/lease", "namespace/", "Name/space", "a/b/c", "a/b c"])
def test_names_that_kubernetes_would_not_take_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="NAMESPACE/NAME"):
        config_from([*IN_CLUSTER, *ACTIVATORS, "--lease", name], {"POD_IP": "10.0.0.7"})


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="POD_IP=here"):
        config_from([*IN_CLUSTER, *ACTIVATORS, *LEASE], {"POD_IP": "here"})


PROMETHEUS = ["--prometheus", "https://prometheus.monitoring:9090/"]


def test_prometheus_is_asked_as_the_flags_say() -> None:
    flags = [*IN_CLUSTER, *ACTIVATORS, *PROMETHEUS, "--prometheus-token-file", "/token", "--prometheus-ca", "/ca.pem"]
    config = config_from([*flags, "--amd-prefix", "rocm_"], {})
    url = "https://prometheus.monitoring:9090"
    assert config.prometheus == PrometheusAddress(url, Path("/token"), Path("/ca.pem"), "rocm_")


def test_without_its_address_no_prometheus_is_asked() -> None:
    assert config_from([*IN_CLUSTER, *ACTIVATORS], {}).prometheus is None


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--prometheus", "prometheus:9090"], "must be http"),
        (["--prometheus", "ftp://prometheus"], "must be http"),
        (["--prometheus", "http://"], "must be http"),
        (["--prometheus", ""], "must be http"),
        (["--prometheus", "http://prometheus:port"], "must be http"),
        (["--prometheus", "http://prometheus:99999"], "must be http"),
        (["--prometheus", "http://[::1"], "must be http"),
        (["--prometheus", "http://prometheus/?query=up"], "must be http"),
        (["--prometheus", "http://prometheus/\n"], "must be http"),
        (["--prometheus", "http://me:hush@prometheus"], "a password does not belong on a command line"),
        (["--prometheus", "http://prometheus", "--prometheus-token-file", "/token"], "use https"),
        (["--prometheus-token-file", "/token"], "of no use without --prometheus"),
        (["--prometheus-ca", "/ca.pem"], "of no use without --prometheus"),
        ([*PROMETHEUS, "--amd-prefix", "am|d"], "--amd-prefix"),
        ([*PROMETHEUS, "--amd-prefix", ""], "--amd-prefix"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_without_its_password(flags: list[str], why: str) -> None:
    with pytest.raises(SettingsError) as raised:
        config_from([*IN_CLUSTER, *ACTIVATORS, *flags], {})
    assert why in str(raised.value)
    assert "hush" not in str(raised.value)


def test_on_one_machine_the_driver_is_asked_and_no_prometheus() -> None:
    with pytest.raises(SettingsError, match="--prometheus"):
        config_from([*REQUIRED, *PROMETHEUS])
