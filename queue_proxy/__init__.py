"""Sits beside each replica: limits, queues, measures and drains.

Bottom of the house: imports nothing else of ours. The activator builds on its HTTP engine
(:mod:`queue_proxy.http`) and limiter; the autoscaler knows only :mod:`queue_proxy.messages`.
"""
