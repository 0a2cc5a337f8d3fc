"""Scenario: what is simulated, apart from the requests: services, cluster, clients, and what the controller is told.

Everything here is plain frozen data. A scenario and a trace, with the same seed, give the same run to the last bit,
with whatever policy; only what a policy orders differs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from activator.messages import HoldBounds


class ScenarioError(ValueError):
    """A scenario that cannot be simulated: names the field, the value and what is allowed."""


class StartPhase(Enum):
    """The phases of a replica's start, in their order.

    SCHEDULE  from the order to a node being chosen, when one has room
    NODE      a node is made; only for a replica that no existing node has room for
    IMAGE     the image is pulled, or unpacked where the node has it
    RUNTIME   container, process and libraries start
    WEIGHTS   weights are loaded, from far or from the node's own disk
    ENGINE    compilation, graphs, warm-up, up to the first good answer to the readiness probe
    """

    SCHEDULE = "schedule"
    NODE = "node"
    IMAGE = "image"
    RUNTIME = "runtime"
    WEIGHTS = "weights"
    ENGINE = "engine"


def constant(seconds: float) -> NDArray[np.float64]:
    """Samples of a phase that always takes the same time."""
    return np.array([seconds], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class StartDraws:
    """What each phase of a start may take, as samples in seconds. A start draws one of each with equal chance.

    One sample is a constant. A distribution is some thousand of its quantiles; a measurement is what was measured.
    Which one a start draws depends on seed, service and the number of the start alone, so that two policies see the
    same n-th start.

    image_cached, weights_cached  of a node that has started this service before
    in_order       the n-th start takes the n-th sample instead, and begins anew after the last: to run again what
                   was measured
    failure        share of starts that fail, after their last phase; 0..1
    backoff        seconds before the second attempt after a failure; doubled each time, up to `longest_backoff`
    """

    name: str
    schedule: NDArray[np.float64] = field(default_factory=lambda: constant(0.0))
    node: NDArray[np.float64] = field(default_factory=lambda: constant(0.0))
    image: NDArray[np.float64] = field(default_factory=lambda: constant(0.0))
    image_cached: NDArray[np.float64] = field(default_factory=lambda: constant(0.0))
    runtime: NDArray[np.float64] = field(default_factory=lambda: constant(0.0))
    weights: NDArray[np.float64] = field(default_factory=lambda: constant(0.0))
    weights_cached: NDArray[np.float64] = field(default_factory=lambda: constant(0.0))
    engine: NDArray[np.float64] = field(default_factory=lambda: constant(0.0))
    in_order: bool = False
    failure: float = 0.0
    backoff: float = 10.0
    longest_backoff: float = 300.0

    def __post_init__(self) -> None:
        """Raises ScenarioError for a phase without samples, or samples that are negative or not finite."""
        for phase in PHASE_FIELDS:
            samples = getattr(self, phase)
            if samples.ndim != 1 or not len(samples) or not np.all(np.isfinite(samples)) or np.any(samples < 0):
                raise ScenarioError(f"start {self.name}: {phase} needs samples in seconds, finite and not negative")
        if not 0.0 <= self.failure < 1.0:
            raise ScenarioError(f"start {self.name}: failure is a share from 0 to below 1, not {self.failure}")

    @staticmethod
    def of(name: str, seconds: float) -> StartDraws:
        """A start that takes this long, whatever it does meanwhile."""
        return StartDraws(name, engine=constant(seconds))


# Bytes are not simulated.
DEFAULT_HOLD = HoldBounds(requests=10_000, bytes=0, no_endpoint_seconds=600.0, full_seconds=300.0)

PHASE_FIELDS = ("schedule", "node", "image", "image_cached", "runtime", "weights", "weights_cached", "engine")


class Shape(Enum):
    """The form of a distribution that is known by its mean and its coefficient of variation (cv)."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"
    GAMMA = "gamma"


@dataclass(frozen=True, slots=True)
class MeasuredSeconds:
    """Each request takes what the trace says; one of which it says nothing takes `otherwise` seconds.

    slots  how many the engine works on at a time, the others wait in the engine; 0: any number
    """

    otherwise: float = 1.0
    slots: int = 0


@dataclass(frozen=True, slots=True)
class DrawnSeconds:
    """Each request takes a time drawn by the number of the request alone: mean in seconds, cv as a ratio.

    slots  how many the engine works on at a time, the others wait in the engine; 0: any number
    """

    mean: float
    shape: Shape = Shape.EXPONENTIAL
    cv: float = 1.0
    slots: int = 0


@dataclass(frozen=True, slots=True)
class ContinuousBatching:
    """An LLM engine: prefill first, one prompt after the other; then all decode together.

    prefill   seconds per prompt token; while a prompt is read nobody decodes
    alpha     seconds per token with an empty batch (α)
    beta      further seconds per token for each sequence in the batch (β): a token takes α + β·batch
    slots     most sequences at a time; the others wait in the engine
    kv_tokens most tokens in the cache, of prompts and of answers so far; who joined last is put back when it is full,
              and reads anew what it had; 0: `slots` is the only bound
    input_tokens, output_tokens  of a request of which the trace does not say it
    """

    prefill: float
    alpha: float
    beta: float
    slots: int
    kv_tokens: int = 0
    input_tokens: int = 512
    output_tokens: int = 128


# An hour; more often than each minute nothing would become ready any more.
MOST_RECLAIMS = 60.0

ServiceModel = MeasuredSeconds | DrawnSeconds | ContinuousBatching


@dataclass(frozen=True, slots=True)
class Clients:
    """What clients do when it takes long, or is refused.

    timeout   seconds after which an attempt is given up, 0: never
    retries   further attempts after one that was refused, failed or given up
    backoff   seconds before the first of them; doubled each time, and scattered by up to half of it either way
    heeds_retry_after  who is refused comes back when Retry-After says, as most client libraries do, and not by backoff
    """

    timeout: float = 0.0
    retries: int = 0
    backoff: float = 1.0
    heeds_retry_after: bool = True


@dataclass(frozen=True, slots=True)
class Objective:
    """What a request should not take longer than, in seconds, to be good; math.inf: no objective.

    latency  from the first attempt to the last byte; ttft: to the first byte
    """

    latency: float = math.inf
    ttft: float = math.inf


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service.

    limit          requests that one replica takes at a time (containerConcurrency); 0: any number
    gpus           whole GPUs of one replica
    queue_requests most requests in one queue proxy's own line, which is used while the activator is out of the path;
                   0: any number
    queue_seconds  how long one may wait in that line, then it is refused; 0: as long as its client does
    abort_on_disconnect  an engine stops working on a request whose client has gone. Not all do: it then keeps its place
                   in the engine, and what counts requests there counts it, until it is finished for nobody
    drain_seconds  a replica that is drained is killed after so long, with what it still has; 0: never
    stop_seconds   from having nothing more to do, or being told to go while it starts, until its process has ended:
                   so long it holds its GPUs without a use
    reclaims       times an hour that a ready replica's node is taken back, as spot nodes are; 0: never. How long the
                   n-th start lives is exponential, and a function of seed, service and n alone
    reclaim_notice seconds between being told and being gone, in which a replica finishes what it can
    initial        replicas that are ready when the trace begins
    """

    name: str
    model: ServiceModel
    start: StartDraws
    limit: int = 0
    gpus: int = 1
    clients: Clients = Clients()
    hold: HoldBounds = DEFAULT_HOLD
    queue_requests: int = 0
    queue_seconds: float = 0.0
    abort_on_disconnect: bool = True
    objective: Objective = Objective()
    drain_seconds: float = 0.0
    stop_seconds: float = 0.0
    reclaims: float = 0.0
    reclaim_notice: float = 30.0
    initial: int = 0


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Where replicas can be.

    gpus_per_node   0: one node with as many GPUs as anybody wants, which is always there
    nodes           nodes that are there from the beginning, and stay
    most_nodes      further nodes are made, up to this many in all
    node_idle_seconds  a made node without a replica goes after so long
    caches_warm     the first nodes have all images and weights already
    image_streams, weight_streams  how many transfers from far go at full speed together; more share it; 0: no bound
    """

    gpus_per_node: int = 0
    nodes: int = 1
    most_nodes: int = 0
    node_idle_seconds: float = 600.0
    caches_warm: bool = True
    image_streams: float = 0.0
    weight_streams: float = 0.0

    @staticmethod
    def of_gpus(gpus: int) -> ClusterSpec:
        """One node with this many GPUs, that is there from the beginning."""
        return ClusterSpec(gpus_per_node=gpus, nodes=1)


@dataclass(frozen=True, slots=True)
class MetricsPath:
    """How the controller learns what happens.

    delay  seconds from a scrape to what is decided on it: with the usual scrape each second, its mean age
    loss   share of readings that are lost, 0..1, of each replica by itself; counters are cumulative, so its next one
           tells what was lost. What activators tell is not lost: they push it
    stale_after  seconds after which a reading is Stale
    scrape_at  the part of a second in which replicas are scraped, 0 to below 1; None: by when the first of them became
           ready, as Pilotlight does it. What came together between two scrapes is shared out evenly over the whole
           seconds between them; with 0 each second is told exactly
    push_at  likewise when activators push
    """

    delay: float = 0.5
    loss: float = 0.0
    stale_after: float = 5.0
    scrape_at: float | None = 0.0
    push_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Services in the order of the trace's, the cluster they share, and the seed of all that is drawn."""

    services: tuple[ServiceSpec, ...]
    cluster: ClusterSpec = ClusterSpec()
    seed: int = 0
    metrics: MetricsPath = MetricsPath()

    def __post_init__(self) -> None:
        """Raises ScenarioError for what cannot be simulated."""
        if not self.services:
            raise ScenarioError("a scenario needs at least one service")
        names = [service.name for service in self.services]
        if len(set(names)) != len(names):
            raise ScenarioError("a service is listed twice")
        if not 0.0 <= self.metrics.loss < 1.0:
            raise ScenarioError(f"loss is a share from 0 to below 1, not {self.metrics.loss}")
        for service in self.services:
            _check(service, self.cluster)


def uniform(names: Sequence[str], spec: ServiceSpec) -> tuple[ServiceSpec, ...]:
    """The same service under several names."""
    return tuple(replace(spec, name=name) for name in names)


def _check(service: ServiceSpec, cluster: ClusterSpec) -> None:
    if service.gpus < 0 or service.limit < 0 or service.initial < 0 or service.queue_requests < 0:
        raise ScenarioError(f"service {service.name}: gpus, limit, initial and queue_requests are not negative")
    if not (0.0 <= service.reclaims <= MOST_RECLAIMS and 0.0 <= service.reclaim_notice < math.inf):
        raise ScenarioError(
            f"service {service.name}: reclaims are 0 to {MOST_RECLAIMS:g} an hour, with a notice of 0 s or more"
        )
    if not 0.0 <= service.queue_seconds < math.inf:
        raise ScenarioError(f"service {service.name}: queue_seconds is 0 or more, not {service.queue_seconds}")
    if 0 < cluster.gpus_per_node < service.gpus:
        raise ScenarioError(
            f"service {service.name}: a replica needs {service.gpus} GPUs and a node has {cluster.gpus_per_node}"
        )
    model = service.model
    if isinstance(model, ContinuousBatching) and (model.slots < 1 or model.alpha <= 0 or model.beta < 0):
        raise ScenarioError(f"service {service.name}: slots is at least 1, alpha positive, beta not negative")
