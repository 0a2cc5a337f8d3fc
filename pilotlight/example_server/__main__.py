"""Lets `python -m pilotlight.example_server` run the example model server, without the rest of the command line."""

import sys

from pilotlight.example_server.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
