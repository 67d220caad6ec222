"""Tests of what checks say and ask."""
