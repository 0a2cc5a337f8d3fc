"""Manifest files: what is found in them, and everything that is wrong with them, with file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from autoscaler.policy.check import check, checked
from autoscaler.policy.errors import PolicyErrors, Source
from autoscaler.policy.manifest import ManifestKind, collect_manifests
from autoscaler.policy.parse import read_policy

CHAT = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: chat
spec:
  predictor:
    minReplicas: 2
    model: {}
"""
RUNTIME = """\
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterServingRuntime
metadata:
  name: vllm.v1
spec:
  containers: []
"""
EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str | bytes, name: str = "my.yaml") -> Path:
    path = Path(name)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def problems(text: str | bytes) -> list[str]:
    return [str(problem) for problem in check([write(text)])]


def test_services_and_runtimes_of_all_files_are_found_in_order() -> None:
    other = CHAT.replace("name: chat", "name: other\n  namespace: team-a")
    serving = RUNTIME.replace("ClusterServingRuntime", "ServingRuntime")
    found = checked([write(CHAT + "---\n" + RUNTIME, "a.yaml"), write(f"---\n{serving}---\n{other}", "b.yaml")])
    assert [manifest.service for manifest in found.services] == ["default/chat", "team-a/other"]
    assert [(m.kind, m.namespace, m.name) for m in found.runtimes] == [
        (ManifestKind.CLUSTER_SERVING_RUNTIME, "", "vllm.v1"),
        (ManifestKind.SERVING_RUNTIME, "default", "vllm.v1"),
    ]
    assert found.services[1].where == Source("b.yaml", 9)


def test_a_list_as_kubectl_prints_it_is_read_item_by_item() -> None:
    items = "".join(
        f"- apiVersion: serving.kserve.io/v1beta1\n  kind: InferenceService\n  metadata: {{name: {name}}}\n"
        "  spec:\n    predictor: {minReplicas: -1}\n"
        for name in ("one", "two")
    )
    assert [error.split(" ")[:3] for error in problems(f"apiVersion: v1\nkind: List\nitems:\n{items}")] == [
        ["my.yaml:8:", "spec.predictor.minReplicas:", '"-1"'],
        ["my.yaml:13:", "spec.predictor.minReplicas:", '"-1"'],
    ]


def test_the_source_map_gives_a_policy_error_its_line() -> None:
    (manifest,) = collect_manifests([write("# a comment\n" + CHAT.replace("2", "-2"))]).manifests
    with pytest.raises(PolicyErrors, match=r"^my\.yaml:8: spec\.predictor\.minReplicas: "):
        read_policy(manifest.body, manifest.source)


def test_a_file_that_begins_with_a_byte_order_mark_is_read() -> None:
    assert checked([write(b"\xef\xbb\xbf" + CHAT.encode())]).services


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "my.yaml: is empty"),
        ("# nothing\n---\n---\n", "my.yaml: is empty"),
        ("- a\n- b\n", "my.yaml:1: is not an object: apiVersion, kind, metadata and spec are expected"),
        (
            CHAT.replace("InferenceService", "Deployment").replace("serving.kserve.io/v1beta1", "apps/v1"),
            'my.yaml:2: kind: "Deployment" of apiVersion apps/v1 is not an InferenceService; allowed: Inference',
        ),
        (CHAT.replace("kind: InferenceService\n", ""), "my.yaml:1: kind: is missing; allowed: InferenceService of "),
        (
            CHAT.replace("v1beta1", "v1alpha2"),
            'my.yaml:1: apiVersion: "serving.kserve.io/v1alpha2" is not an apiVersion of',
        ),
        (
            CHAT.replace("apiVersion: serving.kserve.io/v1beta1\n", ""),
            "my.yaml:1: apiVersion: is missing; allowed: serving.",
        ),
        (
            CHAT.replace("metadata:\n  name: chat\n", ""),
            "my.yaml:1: metadata: is missing; allowed: a mapping with a name",
        ),
        (CHAT.replace("name: chat", "namespace: x"), "my.yaml:3: metadata.name: is missing; allowed: 1 to 53 of a-z"),
        (
            CHAT.replace("name: chat", "name: Chat"),
            'my.yaml:4: metadata.name: "Chat" is not a name that Kubernetes takes',
        ),
        (CHAT.replace("name: chat", "name: 1chat"), 'my.yaml:4: metadata.name: "1chat" is not a name that Kubernetes'),
        (CHAT.replace("name: chat", "name: chat-"), 'my.yaml:4: metadata.name: "chat-" is not a name that Kubernetes'),
        (
            CHAT.replace("name: chat", "name: a.b"),
            'my.yaml:4: metadata.name: "a.b" is not a name that Kubernetes takes',
        ),
        (CHAT.replace("name: chat", "name: 'chat\n\n    '"), 'my.yaml:4: metadata.name: "chat\\n" is not a name that'),
        (CHAT.replace("name: chat", f"name: {'x' * 54}"), f'my.yaml:4: metadata.name: "{"x" * 54}" is not a name that'),
        (CHAT.replace("name: chat", "name: 7"), 'my.yaml:4: metadata.name: "7" is not text; put it in quotes'),
        (CHAT.replace("name: chat", "name: chat\n  namespace: A/B"), 'my.yaml:5: metadata.namespace: "A/B" is not a'),
        (
            CHAT.replace("name: chat", "name: chat\n  namespace: ''"),
            "my.yaml:5: metadata.namespace: is not a namespace",
        ),
        (CHAT.split("spec:")[0], "my.yaml:1: spec: is missing or not a mapping"),
        (CHAT.split("  predictor:")[0] + "  a: b\n", "my.yaml:5: spec.predictor: is missing or not a mapping"),
        (CHAT + "---\n" + CHAT, "my.yaml:10: InferenceService chat is here a second time; the first is at my.yaml:1"),
        (CHAT + "    minReplicas: 3\n", "my.yaml:9: minReplicas: stands here a second time; the first is in line 7"),
        (CHAT + "   x: [\n", "my.yaml:9: "),
        (CHAT.encode() + b"\n# caf\xe9\n", "my.yaml:10: is not UTF-8: byte 0xe9"),
        (b"\xff\xfe" + CHAT.encode("utf-16-le"), "my.yaml:1: is not UTF-8: byte 0xff"),
        (b"a: \x00\n", "my.yaml:1: the character U+0000 may not stand in YAML"),
        (b"x" * (1024 * 1024 + 1), "my.yaml: is larger than 1024 KiB, too large for a manifest"),
        (
            CHAT.replace("model", "annotations: {pilotlight.dev/scaling: on}\n    model"),
            "my.yaml:8: pilotlight.dev/scaling: ",
        ),
    ],
)
def test_one_mistake_is_one_line_that_says_where_and_what(text: str | bytes, expected: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(expected)


def test_every_mistake_of_every_document_and_file_comes_in_order() -> None:
    bad = CHAT.replace("minReplicas: 2", "minReplicas: two\n    timeout: -1")
    first = write(
        f"{bad}---\nkind: Secret\n---\n{bad.replace('chat', 'Chat')}---\n{bad.replace('chat', 'more')}", "z.yaml"
    )
    second = write(bad, "a.yaml")
    places = [str(problem.source) for problem in check([first, Path("gone.yaml"), second])]
    assert places == [
        "z.yaml:7",
        "z.yaml:8",
        "z.yaml:11",
        "z.yaml:16",
        "z.yaml:19",
        "z.yaml:20",
        "z.yaml:29",
        "z.yaml:30",
        "gone.yaml",
        "a.yaml:1",
        "a.yaml:7",
        "a.yaml:8",
    ]


def test_a_file_that_is_not_there_or_cannot_be_read_says_so() -> None:
    Path("folder").mkdir()
    secret = write(CHAT, "secret.yaml")
    secret.chmod(0)
    wrong = [str(problem) for problem in check([Path("gone.yaml"), Path("folder"), Path("a\0b")])]
    assert wrong[0] == "gone.yaml: does not exist"
    assert wrong[1] == "folder: is a directory; name the files in it"
    assert wrong[2].startswith("a\\x00b: ")
    if os.geteuid() != 0:
        assert [str(problem) for problem in check([secret])] == ["secret.yaml: cannot be read: Permission denied"]


def test_a_pipe_is_as_good_as_a_file() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"):
        with os.fdopen(writer, "w") as pipe:
            pipe.write(CHAT)
        assert checked([Path(f"/dev/fd/{reader}")]).services


def test_loading_reports_everything_that_checking_finds_in_the_files() -> None:
    with pytest.raises(PolicyErrors) as caught:
        checked([write("kind: Secret\n---\n" + CHAT + "---\n" + CHAT), Path("gone.yaml")])
    assert len(caught.value.errors) == 3


def test_files_without_any_service_are_not_enough_to_run() -> None:
    with pytest.raises(PolicyErrors, match=r"my\.yaml: there is no InferenceService in it"):
        checked([write(RUNTIME)])


def test_a_good_file_has_no_problems() -> None:
    assert problems(CHAT + "---\n" + RUNTIME) == []


def test_the_examples_that_are_shipped_have_no_problems() -> None:
    examples = sorted(EXAMPLES.glob("*.yaml"))
    assert examples
    assert check(examples) == ()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_that_are_shipped_go_into_whichever_namespace_is_asked_for(path: Path) -> None:
    assert all("namespace" not in item["metadata"] for item in yaml.safe_load_all(path.read_text()))
