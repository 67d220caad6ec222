"""The org, silver and raw, compared record by record."""
