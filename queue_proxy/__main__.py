"""`python -m queue_proxy`: the process. See `queue_proxy.process` for its exit statuses."""

from __future__ import annotations

import logging
import sys

from queue_proxy import (
    garbage_collector_off,  # noqa: F401, before what is long to load
    openssl_left_out,  # noqa: F401, before asyncio
)
from queue_proxy.process import run
from queue_proxy.proxy import QueueProxy
from queue_proxy.settings import parse


def main() -> int:
    """Run until told to end; returns the exit status."""
    config = parse(sys.argv[1:])
    return run("queue_proxy", config.name, logging.WARNING, lambda: QueueProxy(config))


if __name__ == "__main__":
    sys.exit(main())
