"""Tests of the raw layer."""
