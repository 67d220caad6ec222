"""Salesforce as Dagster assets: every object a partitioned, typed, checked table."""

__version__ = "0.1.0"
