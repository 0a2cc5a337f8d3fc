"""`pilotlight simulate`: its arguments, the world that is made of them, and what is printed."""
