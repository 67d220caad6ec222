"""What a run has to read: what is due, what it costs, what waits."""
