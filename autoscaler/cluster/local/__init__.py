"""Replicas as processes of this machine: the cluster of `pilotlight up`, of the demo and of the tests."""
