"""What this project makes on a disk is its owner's alone: records of customers, and credentials."""

from pathlib import Path


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that lack, for their owner alone.

    Folders that are there stay as they are: who may read them is said by whoever made them.
    """
    for folder in (*reversed(path.parents), path):
        folder.mkdir(mode=0o700, exist_ok=True)
