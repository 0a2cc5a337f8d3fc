"""Pure decisions: (policy, readings, state, now) in, (decision, state) out. No I/O, no clock."""
