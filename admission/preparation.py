"""Preparation: what a service that sleeps needs besides the queue proxy, put in where nothing is said about it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from admission.editor import Editor
from admission.edits import Path
from admission.predictor import Predictor, has_sidecar
from admission.sidecar import DRAINED_HOOK
from autoscaler.policy.names import AUTOSCALER_CLASS, MODEL_CONTAINER, SCALING
from autoscaler.policy.scaling_policy import ScalingMode, ScalingPolicy
from autoscaler.serving.queue_proxy_flags import DRAIN_SECONDS

_PREDICTOR: Path = ("spec", "predictor")
GRACE: Path = (*_PREDICTOR, "terminationGracePeriodSeconds")
MODEL_ENDS_SECONDS = 15
"""Between the end of the drain and the kill: for the model to end by itself."""


def prepare(
    editor: Editor, policy: ScalingPolicy, predictor: Predictor, before: Mapping[str, object] | None
) -> list[str]:
    """Everything besides the sidecar, where nothing is said about it. Returns what was done, for a person."""
    done = _annotations(editor, policy)
    strategy: Path = (*_PREDICTOR, "deploymentStrategy")
    unavailable: Path = (*strategy, "rollingUpdate", "maxUnavailable")
    if editor.get(unavailable) is None and editor.get((*strategy, "type")) in (None, "RollingUpdate"):
        editor.put(unavailable, 1)
        done.append(
            "deploymentStrategy.rollingUpdate.maxUnavailable: 1, so that a wake from zero does not show the service as "
            "not ready; a rollout may then replace a single replica before the new one is ready"
        )
    if editor.get(GRACE) is None:
        grace = _grace(policy, before)
        editor.put(GRACE, grace)
        done.append(f"terminationGracePeriodSeconds: {grace}, so that what a replica has accepted is finished")
    if predictor.custom and editor.get((*predictor.path, "name")) != MODEL_CONTAINER:
        editor.put((*predictor.path, "name"), MODEL_CONTAINER)
        done.append(f"the model's container is now named {MODEL_CONTAINER}, as KServe would name it if it were alone")
    lifecycle = predictor.container.get("lifecycle")
    if isinstance(lifecycle, Mapping) and lifecycle.get("preStop") is not None:
        done.append("the model's own preStop stays: it has to keep the model up until its last request is answered")
    else:
        editor.put((*predictor.path, "lifecycle", "preStop"), dict(DRAINED_HOOK))
        done.append("the model's preStop waits until the queue proxy has drained")
    return done


def _annotations(editor: Editor, policy: ScalingPolicy) -> list[str]:
    done = []
    on_the_object, on_the_predictor = ("metadata", "annotations"), (*_PREDICTOR, "annotations")
    both: tuple[Path, ...] = (on_the_object, on_the_predictor)
    if all(editor.get((*place, SCALING)) is None for place in both):
        editor.put((*on_the_object, SCALING), "on")
        done.append(f'{SCALING}: "on"')
    if all(editor.get((*place, AUTOSCALER_CLASS)) is None for place in both):
        if policy.mode is ScalingMode.SHADOW:
            done.append(f"{AUTOSCALER_CLASS} is left out: in shadow mode whoever scales it now goes on")
        else:
            # On the object it would hold for the other components too, and take their autoscaler away.
            others = [name for name in ("transformer", "explainer") if editor.get(("spec", name)) is not None]
            editor.put((*(on_the_predictor if others else on_the_object), AUTOSCALER_CLASS), "external")
            why = (
                f"on the predictor, since {' and '.join(others)} stays with KServe"
                if others
                else "KServe then creates "
            )
            done.append(f"{AUTOSCALER_CLASS}: external; {why}{'' if others else 'no HorizontalPodAutoscaler'}")
    return done


def _grace(policy: ScalingPolicy, before: Mapping[str, object] | None) -> int:
    """Seconds for everything that a pod does at its end."""
    if before is not None and has_sidecar(before):
        known = Editor(before).get(GRACE)
        if isinstance(known, int):
            return known
    return math.ceil(policy.timeouts.total or DRAIN_SECONDS) + MODEL_ENDS_SECONDS
