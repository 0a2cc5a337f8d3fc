"""What serves: the container of an InferenceService, where it listens and is probed, and its queue proxy's flags."""
