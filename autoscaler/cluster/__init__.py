"""Where replicas live: one small interface; Kubernetes and local processes behind it."""
