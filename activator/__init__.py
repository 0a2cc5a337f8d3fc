"""Holds requests while nothing can serve them, then hands them out no faster than they can be taken.

Needs no rights in the cluster: a Routes table from the controller tells it all, and it keeps serving
from its last table when the controller is away.
"""
