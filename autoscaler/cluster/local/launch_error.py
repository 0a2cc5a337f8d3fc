"""LaunchError: why a replica cannot be started on this machine, in words for whoever wrote its manifest."""

from __future__ import annotations

from autoscaler.serving.fields import FieldError


class LaunchError(FieldError):
    """A replica of this object cannot be started on this machine: says what, where, and what is allowed."""
