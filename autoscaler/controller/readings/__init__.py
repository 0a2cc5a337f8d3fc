"""Where numbers come in: replicas are scraped, activators push, GPUs are asked of Prometheus or the machine."""
