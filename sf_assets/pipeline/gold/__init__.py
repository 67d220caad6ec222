"""Gold tables: which are due, and how they are built."""
