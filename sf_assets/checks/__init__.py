"""Checks: what each is called, what it says to people, and how it is asked, SQL and all."""
