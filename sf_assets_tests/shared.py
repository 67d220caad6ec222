"""Reference material beside the repository, which some tests compare with where it is there."""

from pathlib import Path

import pytest

SHARED: Path = Path(__file__).resolve().parents[2] / "shared"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the reference material (../shared) is not beside the repository"
)
