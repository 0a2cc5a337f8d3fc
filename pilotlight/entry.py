"""The console script: the command line is imported in here, so that Ctrl-C during its imports is no traceback."""

from __future__ import annotations

import sys

from pilotlight import interrupts


def main() -> int:
    """Run `pilotlight`; returns the exit status."""
    interrupts.end_at_once()
    try:
        from pilotlight.cli import main as run

        return run()
    except KeyboardInterrupt:
        return interrupts.heard()


if __name__ == "__main__":
    sys.exit(main())
