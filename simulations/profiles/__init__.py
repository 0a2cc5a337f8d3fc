"""How long replicas take to start, phase by phase, and what GPUs cost."""
