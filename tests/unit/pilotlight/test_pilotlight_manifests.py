"""Manifests on the command line: what is good, what is wrong with them and where, and what cannot run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.cli import main
from tests.unit.pilotlight.command_world import GOOD, errors_of


def test_check_says_what_is_good(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-f", str(manifest)]) == 0
    assert "default/good: good" in capsys.readouterr().out


RUNTIME = """
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: alone}
spec: {containers: [{name: kserve-container, image: x}]}
"""
PROFILES = """
apiVersion: v1
kind: ConfigMap
metadata: {name: pilotlight-profiles, namespace: pilotlight-system}
data:
  batch: "scale-to-zero-retention: 0s"
"""


@pytest.mark.parametrize("command", [["check"], ["up"], ["replay", "x.jsonl"], ["simulate", "poisson:seconds=1"]])
def test_files_without_a_service_are_an_error_in_words(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").touch()
    Path("runtime.yaml").write_text(RUNTIME)
    assert main([*command, "-f", "runtime.yaml"]) == 1
    assert errors_of(capsys)[-1] in (
        "pilotlight: error: runtime.yaml: there is no InferenceService in it",
        "pilotlight: error: x.jsonl: there is no decision in it",
    )


def test_profiles_can_be_checked_without_a_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "profiles.yaml"
    path.write_text(PROFILES)
    assert main(["check", "-f", str(path)]) == 0
    assert capsys.readouterr().out == "profile batch: good\n"
    path.write_text(PROFILES.replace("0s", "never"))
    assert main(["check", "-f", str(path)]) == 1
    assert "scale-to-zero-retention" in errors_of(capsys)[0]


def test_check_names_every_mistake_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    annotations = 'annotations: {pilotlight.dev/targett: "3", pilotlight.dev/stable-window: "NaN"}'
    wrong.write_text(GOOD.replace("namespace: default}", f"namespace: default, {annotations}}}"))
    assert main(["check", "-f", str(wrong)]) == 1
    errors = errors_of(capsys)
    assert len(errors) == 2
    assert all("wrong.yaml:3" in error for error in errors)
    assert any("pilotlight.dev/targett" in error for error in errors)
    assert any("NaN" in error for error in errors)


@pytest.mark.parametrize("command", ["check", "up"])
@pytest.mark.parametrize(
    ("text", "named"),
    [("a: [", "isvc.yaml:1"), ("kind: Pod\napiVersion: v1\nmetadata: {name: x}\n", "InferenceService"), ("", "empty")],
)
def test_what_is_not_an_inference_service_is_refused_with_file_and_line(
    command: str, text: str, named: str, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(text)
    assert main([command, "-f", str(manifest)]) == 1
    assert any(named in error for error in errors_of(capsys))


@pytest.mark.parametrize("name", sorted(path.name for path in Path("manifests/examples").glob("*.yaml")))
def test_each_example_is_good(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-f", f"manifests/examples/{name}"]) == 0
    out = capsys.readouterr().out
    assert ": good" in out
    assert "remark" not in out


def test_what_cannot_run_here_is_a_remark_that_names_its_service_once(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(GOOD.replace('        command: ["pilotlight", "example-server"]\n', ""))
    assert main(["check", "-f", str(manifest)]) == 0
    remark = capsys.readouterr().out.splitlines()[1]
    assert remark.startswith("  remark: cannot run on one machine: no command")
    assert "default/good" not in remark
