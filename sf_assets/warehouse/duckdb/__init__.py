"""The warehouse that is a DuckDB file."""
