"""A good manifest, and a controller that answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest

from tests.unit.pilotlight.command_world import GOOD, FakeController


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "isvc.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def api() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), FakeController) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
