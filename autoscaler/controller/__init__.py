"""The loop: observe, decide, act; and the API that explains. `readings` come in, `service` decides on each."""
