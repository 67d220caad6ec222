"""What is promised about speed and memory, measured. `make bench` runs all of it."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""Where child processes are started: there `bench` can be imported."""
