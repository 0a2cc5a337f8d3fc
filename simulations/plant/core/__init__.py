"""The event core: plain functions over flat records, which run as they are and which numba compiles.

They keep to what both mean the same by: no exceptions, no objects but records, integers below 2⁶³, and no function of
libm but those that are exact. `simulations.plant.compile` makes the compiled ones.
"""
