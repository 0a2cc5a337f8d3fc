"""One service: what is known of it, what was decided, and the tasks that decide and place orders."""
