"""What holds for all tests."""

import asyncio
import os
from collections.abc import Generator

import pytest

# Where no event loop was ever set, pytest-asyncio's question for the current one makes one, which nobody closes; with
# warnings as errors, whichever test runs when it is collected fails. Having said "none" once, there is none to make.
asyncio.set_event_loop(None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that is skipped has not shown what it should, unless what it needs is a GPU."""
    report = yield
    if report.skipped and os.environ.get("CI") and "GPU" not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
