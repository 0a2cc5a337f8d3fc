"""`behavior` of a HorizontalPodAutoscaler: stabilisation windows and rates, which KEDA's HPA has as well.

Defaults of autoscaling/v2: up by 100 % or 4 pods in 15 s, whichever is more, with no window; down by anything, to the
highest recommendation of the last 300 s. Rates count what was changed within their period, so a change that is made in
steps is not faster than one made at once (horizontal.go: stabilizeRecommendationWithBehaviors and
calculateScaleUpLimitWithScalingRules).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from simulations.policies.settings import BaseSettings, number, seconds, whole


@dataclass(frozen=True, slots=True)
class BehaviorSettings(BaseSettings):
    """With selectPolicy Max both ways. A rate of 0 pods and 0 % forbids that direction."""

    up_window: float = seconds(0.0, "scaleUp.stabilizationWindowSeconds")
    up_percent: float = number(100.0, "at most so many percent more in a period")
    up_pods: int = whole(4, "or so many pods")
    up_period: float = seconds(15.0, "periodSeconds of these", 1.0)
    down_window: float = seconds(300.0, "scaleDown.stabilizationWindowSeconds")
    down_percent: float = number(100.0, "at most so many percent fewer in a period", 0.0, 100.0)
    down_pods: int = whole(0, "or so many pods")
    down_period: float = seconds(15.0, "periodSeconds of these", 1.0)


class Behavior:
    """What was recommended and changed lately, for one service. `memory`: how many seconds of it."""

    __slots__ = ("_begun", "_changes", "_recommendations", "_settings", "memory")

    def __init__(self, settings: BehaviorSettings) -> None:
        """Nothing yet."""
        self._begun = False
        self._settings = settings
        self._recommendations: deque[tuple[float, int]] = deque()
        self._changes: deque[tuple[float, int]] = deque()
        self.memory = settings.up_window + settings.down_window + settings.up_period + settings.down_period

    def limited(self, now: float, current: int, wanted: int) -> int:
        """What is ordered when the calculator wants this."""
        settings = self._settings
        stable = self._stabilised(now, current, wanted)
        longest = max(settings.up_period, settings.down_period)
        while self._changes and self._changes[0][0] <= now - longest:
            self._changes.popleft()
        began = current - sum(change for at, change in self._changes if at > now - self._period(stable, current))
        if stable > current:
            most = max(began + settings.up_pods, math.ceil(began * (1.0 + settings.up_percent / 100.0) - 1e-9))
            ordered = settings.within(max(current, min(stable, most)))
        elif stable < current:
            least = min(began - settings.down_pods, math.floor(began * (1.0 - settings.down_percent / 100.0) + 1e-9))
            ordered = settings.within(min(current, max(stable, least)))
        else:
            ordered = settings.within(stable)
        if ordered != current:
            self._changes.append((now, ordered - current))
        return ordered

    def _period(self, stable: int, current: int) -> float:
        """Of the direction in which it would go."""
        return self._settings.up_period if stable > current else self._settings.down_period

    def _stabilised(self, now: float, current: int, wanted: int) -> int:
        settings, recommendations = self._settings, self._recommendations
        if not self._begun:
            self._begun = True
            recommendations.append((now, current))  # as upstream: what is there when it begins was recommended then
        longest = max(settings.up_window, settings.down_window)
        while recommendations and recommendations[0][0] <= now - longest:
            recommendations.popleft()
        lowest = min((value for at, value in recommendations if at > now - settings.up_window), default=wanted)
        highest = max((value for at, value in recommendations if at > now - settings.down_window), default=wanted)
        recommendations.append((now, wanted))
        lowest, highest = min(lowest, wanted), max(highest, wanted)
        return min(max(current, lowest), highest)
