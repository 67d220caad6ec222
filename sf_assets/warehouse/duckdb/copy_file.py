"""Copy a file whole; a program of its own, run by path.

A process that opens a DuckDB file a second time and closes it again loses its locks on it (POSIX),
so another process has to read it. The blocks are shared where the file system can.
"""

import os
import shutil
import sys

_CHUNK = 1 << 30


def copy_file(source: str, target: str) -> None:
    """Copy a file, over one that may be there.

    Raises:
        OSError: It cannot be read, or not be written.
    """
    with open(source, "rb") as here, open(target, "wb") as there:  # noqa: PTH123 (starts sooner)
        try:
            while os.copy_file_range(here.fileno(), there.fileno(), _CHUNK):
                pass
        except (AttributeError, OSError):  # another system, or between file systems
            here.seek(0)
            there.seek(0)
            shutil.copyfileobj(here, there, 1 << 20)


if __name__ == "__main__":
    try:
        copy_file(*sys.argv[1:])
    except OSError as error:
        sys.exit(error.strerror)
