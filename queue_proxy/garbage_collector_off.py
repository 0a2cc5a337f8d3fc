"""Importing this first leaves the garbage collector off until the server has started: see `garbage_collector`.

What is made while modules load stays; looking through it again and again for garbage is a twelfth of a start, and a
wake may be waiting for it. Only for the main module of a process.
"""

from __future__ import annotations

import gc

gc.disable()
