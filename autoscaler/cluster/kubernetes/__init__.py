"""A Kubernetes cluster with KServe: InferenceServices become ServiceViews, orders become replicas of Deployments."""
