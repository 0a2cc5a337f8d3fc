"""The same decisions on another clock: what was recorded, decided again."""
