"""Tests of silver, gold and the DuckDB file."""
