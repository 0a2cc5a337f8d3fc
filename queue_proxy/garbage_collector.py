"""What the garbage collector of a long-running process looks at, and how often.

What such a process makes by the thousand, requests or readings, makes no cycles and is gone when it is let go. With the
usual threshold of 700 objects the collector would look through the same live ones over and over and find nothing; in a
controller of a thousand services, its longest look takes more than twice as long as deciding on all.
"""

from __future__ import annotations

import gc

_YOUNG_OBJECTS = 10_000
"""Objects more than there were, before the collector looks."""


def look_less_often() -> None:
    """Look at what is there now never again, since it stays, and at what comes after it less often than usual.

    Not a last time either: that takes 15 ms, in which nobody is told that a model is ready, and finds some hundred
    objects.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
    gc.enable()
