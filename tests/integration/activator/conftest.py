"""An activator process, and the controller that it dials."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.activator.activator_harness import Activator, Controller, activator_for


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[Controller]:
    controller = Controller(tmp_path / "control.sock")
    await controller.start()
    yield controller
    await controller.stop()


@pytest.fixture
async def activator(controller: Controller) -> AsyncIterator[Activator]:
    async with activator_for(controller.path) as activator:
        yield activator
