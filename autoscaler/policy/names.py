"""Names that several rooms go by: two annotations, and the two containers that KServe tells apart in a pod."""

from __future__ import annotations

from typing import Final

SCALING: Final = "pilotlight.dev/scaling"
"""on, shadow or off: whether a service is ours to scale."""

AUTOSCALER_CLASS: Final = "serving.kserve.io/autoscalerClass"
"""`external` has KServe leave replicas alone."""

MODEL_CONTAINER: Final = "kserve-container"
"""The container that serves."""

PROXY_CONTAINER: Final = "transformer-container"
"""The one that KServe leads requests to first, where there is one: the queue proxy's place."""
