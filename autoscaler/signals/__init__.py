"""What is true now: readings that know whether they can be believed, and windows over them."""
