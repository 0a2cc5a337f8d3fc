"""`pilotlight inject` as a user calls it: what goes to stdout, to stderr and into files, and the exit status."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pilotlight.cli import main

ISVC = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: chat # the name
  annotations:
    pilotlight.dev/profile: small
spec:
  predictor:
    containers:
      - {name: kserve-container, image: m}
"""
PROFILES = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: pilotlight-profiles, namespace: pilotlight-system}
data:
  small: |
    containerConcurrency: 2
"""


@pytest.fixture
def isvc(tmp_path: Path) -> Path:
    file = tmp_path / "isvc.yaml"
    file.write_text(ISVC)
    file.chmod(0o640)
    return file


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    file = tmp_path / "profiles.yaml"
    file.write_text(PROFILES)
    return file


def test_the_file_goes_to_stdout_and_remarks_to_stderr(
    isvc: Path, profiles: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["inject", "-f", str(isvc), "--profiles", str(profiles), "--image", "mine:1"]) == 0
    out, err = capfd.readouterr()
    assert "name: chat # the name" in out
    assert '"image": "mine:1"' in out or "image: mine:1" in out
    assert "--limit=2" in out
    assert f"{isvc}:1: default/chat: " in err
    assert isvc.read_text() == ISVC


def test_files_are_changed_in_place_and_back(isvc: Path, profiles: Path) -> None:
    files = ["-f", str(isvc), str(profiles), "--in-place"]
    assert main(["inject", *files]) == 0
    assert "transformer-container" in isvc.read_text()
    assert isvc.stat().st_mode & 0o777 == 0o640
    assert main(["inject", "--remove", *files]) == 0
    assert isvc.read_text() == ISVC
    assert profiles.read_text() == PROFILES


def test_several_files_become_one_stream(isvc: Path, profiles: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["inject", "-f", str(isvc), "-f", str(profiles)]) == 0
    assert capfd.readouterr().out.endswith("---\n" + PROFILES)


def test_stdin_is_a_file_too(
    isvc: Path, profiles: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ISVC.encode())))
    assert main(["inject", "-f", "-", "--profiles", str(profiles)]) == 0
    assert "transformer-container" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (ISVC, "there are none: ConfigMap pilotlight-system/pilotlight-profiles is missing"),
        (ISVC.replace("    pilotlight.dev/profile: small\n", "    pilotlight.dev/x: small\n"), "does not exist"),
        ("a: [", "isvc.yaml:1"),
        ("kind: Service\n", "there is no InferenceService in it"),
        ("", "there is no InferenceService in it"),
    ],
)
def test_with_a_mistake_nothing_is_written(isvc: Path, text: str, why: str, capfd: pytest.CaptureFixture[str]) -> None:
    isvc.write_text(text)
    assert main(["inject", "-f", str(isvc), "--in-place"]) == 1
    out, err = capfd.readouterr()
    assert why in err
    assert all(line.startswith("pilotlight: error: ") for line in err.splitlines())
    assert out == ""
    assert isvc.read_text() == text


def test_what_cannot_be_read_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "latin").write_bytes(b"a: \xe9\n")
    (tmp_path / "huge").write_bytes(b"#" * (1024 * 1024 + 1))
    for name, why in (("nowhere", "No such file"), ("latin", "not UTF-8: byte 0xe9"), ("huge", "larger than 1024 KiB")):
        assert main(["inject", "-f", str(tmp_path / name)]) == 1
        assert why in capfd.readouterr().err


def test_stdin_cannot_be_changed_in_place(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["inject", "-f", "-", "--in-place"]) == 1
    assert "stdin" in capfd.readouterr().err


def test_check_reads_profiles_from_their_file(isvc: Path, profiles: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-f", str(isvc)]) == 1
    assert main(["check", "-f", str(isvc), "--profiles", str(profiles)]) == 0
    assert "default/chat: good" in capfd.readouterr().out


def test_the_webhook_needs_a_way_to_an_api_server(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POD_NAME", raising=False)
    assert main(["webhook"]) == 1
    assert main(["webhook", "--image", "i", "--cluster", "local:x"]) == 1
    assert main(["webhook", "--image", "i", "--cluster", f"kubernetes:{tmp_path}/none"]) == 1
    errors = capfd.readouterr().err
    for why in ("--image is needed", "must be kubernetes:in-cluster", "there is no kubeconfig file"):
        assert why in errors
