"""The loop: observe, decide, act; and the API that explains."""
