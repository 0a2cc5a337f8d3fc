"""The command line and the one-machine mode. Imports everything below; nothing imports it."""
