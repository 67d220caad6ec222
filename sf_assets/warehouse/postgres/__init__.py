"""A warehouse in a PostgreSQL database."""
