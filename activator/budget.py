"""Budget: what all services of one activator together may have waiting.

Each service has bounds of its own, which its policy names. But they share one process, and the sum of what many
policies allow can be more memory than there is: then the process is killed, and everybody's requests with it. So there
is a second bound, over all, which whoever runs the activator sets by the memory that it has.
"""

from __future__ import annotations


class Budget:
    """Requests and bytes that wait in all holds together. `requests` and `size` are what waits now."""

    __slots__ = ("most_bytes", "most_requests", "requests", "size")

    def __init__(self, most_requests: int, most_bytes: int) -> None:
        self.most_requests = most_requests
        self.most_bytes = most_bytes
        self.requests = 0
        self.size = 0

    def take(self, size: int) -> None:
        """One more waits. Whether it fits was asked before: what was accepted once may come back, fitting or not."""
        self.requests += 1
        self.size += size

    def give_back(self, size: int) -> None:
        """One waits no longer."""
        self.requests -= 1
        self.size -= size


def unbounded() -> Budget:
    """For a hold that is alone."""
    return Budget(2**62, 2**62)
