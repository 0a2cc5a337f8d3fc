"""Which cluster a command asks, and how it finds the controller that leads there."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from pilotlight.cli import main

SYSTEM = "pilotlight-system"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/pilotlight-controller"


def pod(name: str, path: str) -> str:
    return f"/api/v1/namespaces/{SYSTEM}/pods/{name}:7330/proxy{path}"


def held_by(name: str) -> tuple[int, object]:
    return 200, {"spec": {"holderIdentity": f"{name}_00c0ffee" if name else ""}}


SERVICES = {"services": [{"service": "default/chat", "phase": "asleep", "mode": "on", "ready": 0}]}
GONE = (404, {"kind": "Status", "message": "pods not found", "reason": "NotFound"})
STANDS_BY = (503, {"error": "this controller stands by; two leads", "leader": "two"})


class ApiServer(BaseHTTPRequestHandler):
    """Answers in turn what a test has put under a path; the last answer stays."""

    answers: dict[str, list[tuple[int, object]]] = {}  # noqa: RUF012 - replaced by each test
    asked: list[tuple[str, str]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        path = self.path
        type(self).asked.append((path, self.headers.get("Authorization", "")))
        turns = self.answers.get(path, [(404, {"kind": "Status", "message": f"no {path}"})])
        status, body = turns.pop(0) if len(turns) > 1 else turns[0]
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it overrides
        """Quiet."""


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two contexts; the current one leads nowhere."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(ApiServer, "answers", {})
    monkeypatch.setattr(ApiServer, "asked", [])
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config"
    clusters = {"nowhere": "http://127.0.0.1:1", "here": f"http://127.0.0.1:{server.server_port}"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "nowhere",
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in clusters.items()],
        "users": [{"name": "me", "user": {"token": "s3cret"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in clusters],
    }
    path.write_text(yaml.safe_dump(config))
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def run(command: str, kubeconfig: Path, context: str = "here") -> int:
    return main([*command.split(), "--kubeconfig", str(kubeconfig), "--context", context])


def test_the_leader_is_found_by_the_lease_and_asked_through_the_api_server(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ApiServer.answers = {LEASE: [held_by("one")], pod("one", "/services"): [(200, SERVICES)]}
    assert run("status", kubeconfig) == 0
    assert "default/chat" in capsys.readouterr().out
    assert ApiServer.asked == [(LEASE, "Bearer s3cret"), (pod("one", "/services"), "Bearer s3cret")]


@pytest.mark.parametrize("first", [GONE, STANDS_BY])
def test_after_a_takeover_the_lease_is_read_again(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str], first: tuple[int, object]
) -> None:
    ApiServer.answers = {
        LEASE: [held_by("one"), held_by(""), held_by("two")],
        pod("one", "/services"): [first],
        pod("two", "/services"): [(200, SERVICES)],
    }
    assert run("status", kubeconfig) == 0
    assert "default/chat" in capsys.readouterr().out


def test_a_service_that_is_not_there_is_an_error_that_names_those_that_are(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = {"error": "there is no service default/chta", "services": ["default/chat"]}
    ApiServer.answers = {LEASE: [held_by("one")], pod("one", "/explain/default/chta?last=8"): [(404, unknown)]}
    assert run("explain chta", kubeconfig) == 1
    assert capsys.readouterr().err == ("pilotlight: error: there is no service default/chta; there are: default/chat\n")


@pytest.mark.parametrize(
    ("lease", "said"),
    [
        ((403, {"message": 'leases is forbidden: User "me" cannot get'}), "rights to get leases and pods/proxy"),
        ((404, {"message": "not found"}), "is Pilotlight installed there? `pilotlight doctor`"),
    ],
)
def test_why_it_cannot_be_asked_is_said_with_what_to_do(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str], lease: tuple[int, object], said: str
) -> None:
    ApiServer.answers = {LEASE: [lease]}
    assert run("status", kubeconfig) == 1
    assert said in capsys.readouterr().err


def test_a_recording_is_fetched_and_decided_again(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ApiServer.answers = {
        LEASE: [held_by("one")],
        pod("one", "/healthz"): [(200, {"status": "ok"})],
        pod("one", "/recording?service=default/chat"): [(200, b'{"kind":"start"}\n')],
        pod("one", "/recording?service=default/none"): [(200, b"")],
        pod("one", "/recording?service=default/off"): [(404, {"error": "nothing is recorded here; it takes …"})],
    }
    saved = tmp_path / "run.jsonl"
    assert run(f"replay chat --save {saved}", kubeconfig) == 1
    assert f"{saved}:1:" in capsys.readouterr().err
    assert saved.read_bytes() == b'{"kind":"start"}\n'
    assert run("replay none", kubeconfig) == 1
    assert "has recorded nothing of default/none" in capsys.readouterr().err
    assert run("replay off", kubeconfig) == 1
    assert "nothing is recorded here" in capsys.readouterr().err


def test_saving_is_for_what_comes_from_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "run.jsonl", "--save", "other.jsonl"]) == 1
    assert "--save is for a recording that comes from a cluster" in capsys.readouterr().err


def test_the_doctor_that_cannot_look_says_so_with_status_2(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("doctor", tmp_path / "nothing") == 2
    assert "there is no kubeconfig file" in capsys.readouterr().err
    assert run("doctor", kubeconfig, "elsewhere") == 2
    assert "elsewhere" in capsys.readouterr().err
    assert main(["doctor"]) == 2
    assert "which cluster?" in capsys.readouterr().err


def test_kubeconfig_and_home_are_looked_at_as_kubectl_does(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ApiServer.answers = {LEASE: [held_by("one")], pod("one", "/services"): [(200, SERVICES)]}
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'nothing'}:{kubeconfig}")
    assert main(["status", "--context", "here"]) == 0
    monkeypatch.delenv("KUBECONFIG")
    usual = tmp_path / "home" / ".kube" / "config"
    usual.parent.mkdir(parents=True)
    usual.write_text(kubeconfig.read_text().replace("current-context: nowhere", "current-context: here"))
    assert main(["status", "--cluster"]) == 0
    assert capsys.readouterr().out.count("default/chat") == 2


def test_without_the_extra_the_command_says_what_to_install(kubeconfig: Path) -> None:
    without = (
        "import sys; sys.modules['kubernetes'] = None\n"
        "from pilotlight.cli import main\n"
        f"sys.exit(main(['{{}}', '--kubeconfig', '{kubeconfig}']))"
    )
    for command, status in (("status", 1), ("doctor", 2)):
        done = subprocess.run(
            [sys.executable, "-c", without.format(command)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == status, done.stderr
        assert done.stderr.endswith("pip install 'pilotlight[cluster]'\n")
        assert "Traceback" not in done.stderr


def test_what_asks_no_cluster_does_not_import_the_client() -> None:
    look = (
        "import sys; from pilotlight.cli import main\n"
        "assert main(['status', '--api', '127.0.0.1:1']) == 1\n"
        "assert not {'kubernetes', 'aiohttp', 'asyncio'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
