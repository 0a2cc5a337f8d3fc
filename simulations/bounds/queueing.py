"""Sizing by queueing theory: how many servers a steady load needs, so that few requests wait.

R = λ·S is the offered load, the number of requests that would be in service if none ever waited. Erlang C and
square-root staffing assume Poisson arrivals; burstier ones wait longer.
"""

from __future__ import annotations

import math


def erlang_b(servers: int, offered: float) -> float:
    """Share of requests that find all servers busy when none may wait, by the recursion B(n) = R·B/(n + R·B)."""
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    return blocked


def erlang_c(servers: int, offered: float) -> float:
    """Probability that a request has to wait in M/M/n; 1 where the load is too much for the servers."""
    if offered <= 0.0:
        return 0.0
    if servers <= offered:
        return 1.0
    blocked = erlang_b(servers, offered)
    return servers * blocked / (servers - offered * (1.0 - blocked))


def servers_by_erlang_c(offered: float, wait_probability: float) -> int:
    """The least number of servers at which at most this share of requests waits."""
    if offered <= 0.0:
        return 0
    # From the number that square-root staffing says, a handful of steps; each Erlang C costs n, so not from R on.
    servers = max(1, servers_by_square_root(offered, wait_probability))
    while servers > 1 and erlang_c(servers - 1, offered) <= wait_probability:
        servers -= 1
    while erlang_c(servers, offered) > wait_probability:
        servers += 1
    return servers


def servers_by_square_root(offered: float, wait_probability: float) -> int:
    """Square-root staffing n = R + z·√R, with z by the Halfin-Whitt formula for this probability of waiting.

    P(wait) = 1 / (1 + z·Φ(z)/φ(z)), solved for z by bisection.
    """
    if offered <= 0.0:
        return 0
    low, high = 1e-9, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _halfin_whitt(middle) > wait_probability else (low, middle)
    return math.ceil(offered + high * math.sqrt(offered))


def _halfin_whitt(z: float) -> float:
    below = 0.5 * math.erfc(-z / math.sqrt(2.0))
    density = math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
    return 1.0 / (1.0 + z * below / density)
