"""Ids that one reading has brought: none may come twice, or a row came in place of another.

Where the counts agree, only this shows it. Of each Id eight bytes are held, in a file once they are
many: so memory does not grow with the object.
"""

import secrets
import tempfile
import threading
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from sf_assets.errors import PageBrokenError

_SPILLED = 1 << 20
"""Bytes held in memory by one reading."""

_BITS = 8
_BOUNDS = np.arange(1, 1 << _BITS, dtype=np.uint64) << np.uint64(64 - _BITS)
"""What cuts hashes into parts, each of which is looked at for itself."""

_Hashes = npt.NDArray[np.uint64]


class Seen:
    """The Ids of one reading, to be closed after it. Pages may be read side by side.

    Two Ids whose hashes are the same by chance would be taken for one: in ten million rows that
    happens once in 400,000 readings, and not again when they are read again.
    """

    def __init__(self) -> None:
        self._seed = secrets.randbits(63)
        self._file = tempfile.SpooledTemporaryFile(_SPILLED, prefix="sf-assets-")  # noqa: SIM115
        self._pages: list[tuple[int, _Hashes]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def page(self) -> "PageIds":
        """What one page brings; of a page that is read again, begun anew."""
        return PageIds(self, self._seed)

    def add(self, hashes: _Hashes) -> None:
        """Add the hashes of a page, in order."""
        edges = np.searchsorted(hashes, _BOUNDS)
        with self._lock:
            begin = self._file.seek(0, 2)
            self._file.write(hashes.tobytes())
            self._pages.append((begin, np.concatenate(([0], edges, [len(hashes)]))))

    @property
    def pages(self) -> int:
        """Pages that brought anything so far."""
        return len(self._pages)

    def forget(self, first: int) -> None:
        """Leave out all pages but the first ones: the others will be read again."""
        with self._lock:
            del self._pages[first:]

    def check(self) -> None:
        """Make sure that no two pages brought the same Id.

        Raises:
            PageBrokenError: Two did.
        """
        if len(self._pages) < 2:  # noqa: PLR2004 (a page is held against itself when it is added)
            return
        for part in range(1 << _BITS):
            found = np.concatenate([self._read(*page, part) for page in self._pages])
            if _repeats(np.sort(found)):
                raise PageBrokenError("two result pages hold the same record")

    def _read(self, begin: int, edges: _Hashes, part: int) -> _Hashes:
        start, end = int(edges[part]), int(edges[part + 1])
        self._file.seek(begin + start * 8)
        return np.frombuffer(self._file.read((end - start) * 8), np.uint64)


class PageIds:
    """The Ids of one page, as it is read."""

    def __init__(self, seen: Seen, seed: int) -> None:
        self._seen = seen
        self._seed = seed
        self._hashes: list[_Hashes] = []

    def see(self, rows: pa.Table) -> None:
        """Note rows of the page.

        Raises:
            PageBrokenError: One has no Id, so it is nobody's.
        """
        ids = pl.Series(rows["Id"])
        if ids.has_nulls():
            raise PageBrokenError("a result page holds a record without an Id")
        self._hashes.append(ids.hash(self._seed).to_numpy())

    def close(self) -> None:
        """Have the page count among the others.

        Raises:
            PageBrokenError: It holds an Id twice.
        """
        if self._hashes:
            hashes = np.sort(np.concatenate(self._hashes))
            if _repeats(hashes):
                raise PageBrokenError("a result page holds the same record twice")
            self._seen.add(hashes)


def _repeats(hashes: _Hashes) -> bool:
    """Whether one comes twice, of some in order."""
    return bool((hashes[1:] == hashes[:-1]).any())
