"""What goes wrong at the command line, in words for the user; never a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """Ends the command with `pilotlight: error: <message>` on stderr and exit status 1."""
