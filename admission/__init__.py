"""Puts the queue proxy into InferenceServices: the injection that `pilotlight inject` and the webhooks share."""
