"""Codes: what the numbers in the records mean, and the sizes that are fixed."""

from __future__ import annotations

import math
from typing import Final

NONE: Final = -1
UNKNOWN: Final = -1.0  # a number of seconds that nothing has been measured of
INFINITE: Final = math.inf

# What an event is about; `Event.what` is who · EVENT_KINDS + kind.
DONE: Final = 0  # a request with a fixed duration is finished
ENGINE: Final = 1  # a replica's engine finishes a prompt or a sequence
LIFE: Final = 2  # a replica's phase ends
ALARM: Final = 3  # the oldest request of a service may have waited too long
RETRY: Final = 4  # a client sends again
NODE_IDLE: Final = 5  # a made node may have been idle long enough
TRANSFER: Final = 6  # a transfer that shares its bandwidth ends
LINE: Final = 7  # the first in the line of a replica's queue proxy may have waited too long
EVENT_KINDS: Final = 8
NEAR: Final = 32  # so many of the events to come are at hand: see core.events

# Where a request is.
HELD: Final = 1  # in the activator
QUEUED: Final = 2  # in the line of a replica's queue proxy
WAITING: Final = 3  # in an engine, not begun
RUNNING: Final = 4  # in an engine, for a fixed time
READING: Final = 5  # its prompt is being read, or is next to be
DECODING: Final = 6  # in the batch
AWAY: Final = 7  # its client will send again

# Where a replica is in its life.
SCHEDULING: Final = 1
UNPLACED: Final = 2  # no node has room
ON_NEW_NODE: Final = 3
PULLING: Final = 4
BOOTING: Final = 5
LOADING: Final = 6
WARMING: Final = 7
READY: Final = 8
DRAINING: Final = 9
BACKING_OFF: Final = 10
STOPPING: Final = 11  # has nothing to do any more, and its process ends

# Phases, in the order of StartDraws' fields (PHASE_FIELDS).
P_SCHEDULE: Final = 0
P_NODE: Final = 1
P_IMAGE: Final = 2
P_IMAGE_CACHED: Final = 3
P_RUNTIME: Final = 4
P_WEIGHTS: Final = 5
P_WEIGHTS_CACHED: Final = 6
P_ENGINE: Final = 7
LIFETIMES: Final = 8  # behind the phases of a service, what its replicas may live
SAMPLED: Final = 9

# How an attempt ends.
COMPLETED: Final = 0
REFUSED_NO_ENDPOINT: Final = 1
REFUSED_FULL: Final = 2
TIMED_OUT: Final = 3
CUT: Final = 4

# What advance() returns.
ARRIVED: Final = 0  # at `until`
TOLD: Final = 1  # a service wants its controller
MORE_ROWS: Final = 2  # the trace goes on
NO_ROOM: Final = 3  # some collection has to grow

# Of what `advance` tells: always of requests that find no endpoint.
TELLS_ARRIVALS: Final = 2  # of any that come, too
TELLS_CHANGES: Final = 3  # of whatever happens to requests, and of replicas that become ready or fail

# Histograms: 32 octaves from 2⁻¹⁵ s (31 µs) on, each of them cut in 32; so a bucket is at most 3 % wide.
OCTAVES: Final = 32
LOWEST_OCTAVE: Final = -15
PER_OCTAVE: Final = 32
BUCKETS: Final = OCTAVES * PER_OCTAVE
HISTOGRAMS: Final = 4  # latency warm, latency cold, TTFT warm, TTFT cold; the last two only of batching

WINDOW_SECONDS: Final = 300.0
WINDOW_LEAST: Final = 10
STARTS_KEPT: Final = 20

# The share of a cache up to which sequences are taken in: vLLM's watermark is one hundredth.
CACHE_SHARE: Final = 0.99
