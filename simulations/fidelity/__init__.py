"""Fidelity: what was measured on real clusters, and what the simulator says of the same load."""
