"""The HTTP/1.1 engine of the data path.

A pure core (heads, body framing) with asyncio protocols around it; no framework, and no task,
coroutine or timer per request. Header lines travel as the bytes in which they came.
"""
