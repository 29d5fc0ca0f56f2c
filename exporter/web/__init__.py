"""HTTP: where it listens, what it answers."""
