"""A way to an API server that cannot be had is said at the start, in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.cluster.kubernetes.connection import open_connection
from autoscaler.cluster.kubernetes.credentials import ConnectionSettingsError

WHOLE = """
current-context: x
contexts: [{name: x, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: secret-token}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
"""


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (None, "there is no kubeconfig file"),
        ("", "no way to an API server in .*: what is there is no kubeconfig: YAML with clusters"),
        ("[", "no way to an API server in .*: what is there is no kubeconfig: YAML with clusters"),
        ("users: [{token: secret-token", "what is there is no kubeconfig"),
        ("contexts: []", "Expected key current-context"),
        (WHOLE.replace("name: c,", "name: d,"), "Expected object with name c"),
    ],
    ids=["missing", "empty", "not YAML", "cut off", "without a context", "of another cluster"],
)
async def test_a_kubeconfig_that_is_none(tmp_path: Path, written: str | None, says: str) -> None:
    path = tmp_path / "kubeconfig"
    if written is not None:
        path.write_text(written)
    with pytest.raises(ConnectionSettingsError, match=says) as raised:
        async with open_connection(str(path)):
            pass
    assert "secret-token" not in str(raised.value)


async def test_a_kubeconfig_that_is_one_is_not_tried_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(WHOLE)
    async with open_connection(str(path)) as connection:
        assert connection.calls == 0


async def test_outside_of_a_pod_there_is_no_cluster_to_be_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConnectionSettingsError, match="in this pod"):
        async with open_connection("in-cluster"):
            pass
