"""Pages for signing in, joining, and a person's own security."""
