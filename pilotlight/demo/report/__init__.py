"""The page that the demo ends with: one file, no network, everything drawn from the numbers inside of it."""
