"""The demo: three example services through idle, burst and idle, with every request counted.

plan       which services, which load
load       the clients, a process of their own
observer   what the components say of themselves while it runs
outcome    what it came to: pure
view       the terminal
run        all of it together
"""
