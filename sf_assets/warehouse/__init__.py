"""The warehouse: silver tables merged from slices, gold tables built from them, in DuckDB."""
