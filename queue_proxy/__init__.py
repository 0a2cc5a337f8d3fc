"""Sits beside each replica: limits, queues, measures and drains.

Bottom of the house: imports nothing else of ours. The activator builds on its HTTP engine
(:mod:`queue_proxy.http`) and limiter; the autoscaler knows only :mod:`queue_proxy.messages`.

What every start loads is kept small, because a wake waits for it: plain records are named tuples, of which six are made
in the time that one frozen dataclass takes, and what only some replicas need is imported by whoever needs it.
"""
