"""Checks of raw and silver, and what gold makes of their answers."""
