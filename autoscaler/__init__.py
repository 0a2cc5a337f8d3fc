"""Decides how many replicas each service has, says why, and makes it so."""
