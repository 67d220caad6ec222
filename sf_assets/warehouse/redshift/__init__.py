"""A warehouse in an Amazon Redshift database."""
