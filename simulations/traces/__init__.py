"""Requests to simulate: read from files of many formats, or generated; always streamed, always the same again."""
