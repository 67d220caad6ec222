"""A catalogue written from what an org has."""
