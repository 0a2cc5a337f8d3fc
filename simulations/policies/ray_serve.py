"""Ray Serve's default autoscaling policy, on ongoing requests (running and queued, with those at the handle).

    error = mean of ongoing over the look-back / (target · running);   want = ⌈running · smoothed error⌉
    smoothed error = 1 + (error − 1) · factor, the factor of its direction
    more only when that was wanted at each turn for upscale_delay_s (30), fewer only after downscale_delay_s (600),
    and to zero by way of one; without a replica any waiting request starts one at once

Source: the page "Advanced Ray Serve Autoscaling" and ray.serve.autoscaling_policy (target_ongoing_requests 2,
metrics_interval_s 10, look_back_period_s 30, smoothing factors 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulations.plant.observed import Observed
from simulations.policies.interface import Order
from simulations.policies.settings import BaseSettings, number, seconds, whole
from simulations.policies.windows import RecentValues


@dataclass(frozen=True, slots=True)
class RayServeSettings(BaseSettings):
    """Named as the fields of autoscaling_config."""

    max_replicas: int = whole(100, "max_replicas")
    target: float = number(2.0, "target_ongoing_requests", 1e-6)
    upscale_delay: float = seconds(30.0, "upscale_delay_s")
    downscale_delay: float = seconds(600.0, "downscale_delay_s")
    look_back: float = seconds(30.0, "look_back_period_s", 1.0)
    metrics_interval: float = seconds(10.0, "metrics_interval_s", 1.0)
    upscaling_factor: float = number(1.0, "upscaling_factor", 0.01)
    downscaling_factor: float = number(1.0, "downscaling_factor", 0.01)


def ray_serve(settings: RayServeSettings, running: int, ongoing: float) -> int:
    """What the formula wants, before delays; `running` > 0."""
    error = ongoing / (running * settings.target)
    factor = settings.upscaling_factor if error > 1.0 else settings.downscaling_factor
    wanted = math.ceil(running * (1.0 + (error - 1.0) * factor) - 1e-9)
    if error < 1.0 and wanted == running:
        # With a small factor rounding up would never let one go (as upstream).
        wanted = running - 1 if factor < 1.0 else wanted
    return settings.within(max(0, wanted))


class RayServe:
    """Decides for one service, each second where Ray Serve's loop does it ten times in one."""

    urgent = True
    period = 1.0

    def __init__(self, settings: RayServeSettings) -> None:
        """Nothing is known yet."""
        self._settings = settings
        self._ongoing = RecentValues(settings.look_back)
        self._next_report = 0.0
        self._up_since: float | None = None
        self._down_since: float | None = None

    @property
    def memory(self) -> float:
        """See Forgetful. While no delay runs, and none begins, none is to be remembered."""
        settings = self._settings
        waits = self._up_since is not None or self._down_since is not None
        delays = settings.upscale_delay + settings.downscale_delay if waits else 0.0
        return settings.look_back + settings.metrics_interval + delays

    def step(self, observed: Observed) -> Order:
        """See Policy."""
        settings, now, current = self._settings, observed.at, observed.replicas.wanted
        if now >= self._next_report:
            self._ongoing.record(now, observed.in_flight + observed.held)
            self._next_report = (math.floor(now / settings.metrics_interval + 1e-9) + 1.0) * settings.metrics_interval
        if current == 0:
            somebody = observed.held > 0 or (observed.urgent and observed.arrived > 0)
            wanted = settings.within(1) if somebody else settings.min_replicas
            return Order(wanted, activator_in_path=settings.in_path, idle_first=False)
        ordered = self._delayed(now, current, ray_serve(settings, current, self._ongoing.mean or 0.0))
        return Order(ordered, activator_in_path=settings.in_path, idle_first=False)

    def _delayed(self, now: float, current: int, wanted: int) -> int:
        """Agreement for the whole delay; a turn that wants otherwise begins it anew."""
        settings = self._settings
        self._up_since = (now if self._up_since is None else self._up_since) if wanted > current else None
        self._down_since = (now if self._down_since is None else self._down_since) if wanted < current else None
        if self._up_since is not None and now - self._up_since >= settings.upscale_delay:
            self._up_since = None
            return wanted
        if self._down_since is not None and now - self._down_since >= settings.downscale_delay:
            self._down_since = None
            return max(wanted, 1) if current > 1 else wanted
        return current
