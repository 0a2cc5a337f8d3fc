"""`python -m activator`: the process. See `queue_proxy.process` for its exit statuses."""

from __future__ import annotations

import logging
import sys

from activator.activator import Activator
from activator.settings import parse
from queue_proxy.process import run


def main() -> int:
    """Run until told to end; returns the exit status."""
    settings = parse(sys.argv[1:])
    return run("activator", settings.name, logging.INFO, lambda: Activator(settings))


if __name__ == "__main__":
    sys.exit(main())
