"""A warehouse in a Snowflake database."""
