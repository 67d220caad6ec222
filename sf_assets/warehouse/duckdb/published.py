"""The copy of a DuckDB file that readers open: held for as long as they like, it stops nobody.

It is replaced by renaming, so a reader keeps the state that it has opened.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sf_assets.errors import WarehouseError
from sf_assets.warehouse.duckdb import copy_file


class PublishedCopy:
    """The copy beside a DuckDB file: `sf.published.duckdb` of `sf.duckdb`.

    Args:
        source: The file.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self.path = source.with_name(f"{source.stem}.published{source.suffix}")

    def is_current(self) -> bool:
        """Whether it is as the file is, or there is no file; the copy keeps the file's time."""
        if not self._source.exists():
            return True
        if _wal(self._source).exists() or _wal(self.path).exists() or not self.path.exists():
            return False
        return _state(self.path) == _state(self._source)

    def make(self) -> None:
        """Copy the file, which this process holds for writing, with nothing in its WAL.

        Raises:
            WarehouseError: It cannot be copied; the earlier copy stays.
        """
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            self._copy(new)
            like = (self.path if self.path.exists() else self._source).stat()
            with suppress(PermissionError):  # a group that this user is not in
                os.chown(new, -1, like.st_gid)
            new.chmod(like.st_mode)
            stat = self._source.stat()
            os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            _wal(self.path).unlink(missing_ok=True)  # what somebody wrote into an earlier copy
            new.replace(self.path)
        except OSError as error:
            raise self._failed(error.strerror) from None
        finally:
            new.unlink(missing_ok=True)

    def _copy(self, new: Path) -> None:
        new.touch(0o600)
        command = [sys.executable, "-I", "-S", copy_file.__file__, str(self._source), str(new)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise self._failed(done.stderr.strip() or f"exit {done.returncode}")

    def _failed(self, reason: str | None) -> WarehouseError:
        return WarehouseError(
            f"the copy for readers {self.path} could not be made anew: {reason}; the tables are "
            f"right in {self._source}, readers see the earlier state. Make room, or end the "
            "warehouse's address with ?publish=off"
        )


def _wal(path: Path) -> Path:
    """Where DuckDB notes what is not in a file yet; read with a file of other state, it fails."""
    return path.with_name(f"{path.name}.wal")


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
