"""An example model server: no model, honest about it, but with the behaviour of one.

Load time, service time, slots, streaming and failures are settings, so that the demo and the tests
can ask for exactly the replica they need. Its metadata and its answers say that it is an example.
"""
