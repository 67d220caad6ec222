"""Text rows into typed columns."""
