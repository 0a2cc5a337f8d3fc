"""The controller as a process: `python -m autoscaler.controller`."""

from __future__ import annotations

import sys

from autoscaler.controller.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
