"""The console script: the command line is imported in here, so that Ctrl-C during its imports is no traceback."""

from __future__ import annotations

import sys

_INTERRUPTED = 130


def main() -> int:
    """Run `pilotlight`; returns the exit status."""
    try:
        from pilotlight.cli import main as run

        return run()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
