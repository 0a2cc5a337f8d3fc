"""Policies: who decides how many replicas. Pilotlight's own decision code, and those it is compared with."""
