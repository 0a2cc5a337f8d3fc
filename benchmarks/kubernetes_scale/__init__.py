"""What controlling a large cluster costs: with a real API server, and how it grows."""
