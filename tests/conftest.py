"""What holds for all tests."""

import asyncio

# Where no event loop was ever set, pytest-asyncio's question for the current one makes one, which nobody closes; with
# warnings as errors, whichever test runs when it is collected fails. Having said "none" once, there is none to make.
asyncio.set_event_loop(None)
