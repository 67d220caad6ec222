"""A warehouse in Google BigQuery."""
