"""An object storage behind one small door: a local folder, S3, GCS or Azure by its URL."""

import fcntl
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PreconditionError,
)
from obstore.store import LocalStore, ObjectStore

from sf_assets.addresses import shown
from sf_assets.errors import ConfigError, StorageError
from sf_assets.private import private_folder
from sf_assets.storage.bucket import Access, open_bucket, refuse_unused
from sf_assets.storage.refusals import advice, brief, is_conflict, lacks_bucket

_LIST_CHUNK = 1000
_AT_ONCE = 8
_ROWS = ".parquet"
_PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds before a creation that met another request is tried again."""

LOCK = ".lock"
"""File in a local folder that is held while one of the objects in it is replaced."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored object as a listing shows it; size in bytes, time in UTC."""

    path: str
    size: int
    modified: datetime


class Store:
    """Whole objects by path below one URL. A put is atomic: readers see all of it or nothing.

    Args:
        url: `file:///…`, `s3://…`, `gs://…` or `az://…`.
        access: How a bucket is reached and entered; None for what the environment says.

    Raises:
        ConfigError: The URL is not of that form, there are no credentials, or something is set
            that such a storage does not have.
        StorageError: From any method, when the storage refuses.
    """

    _version: Literal["version", "e_tag"] = "e_tag"
    _attributes: Any = None

    def __init__(self, url: str, access: Access | None = None) -> None:
        access = access or Access()
        self.url = shown(url)
        parts = urlsplit(url)
        if parts.scheme not in {"file", "s3", "gs", "az"}:
            raise ConfigError(
                f"SF_ASSETS_STORAGE_URL is {self.url!r}; it must begin with file:///, s3://, gs:// "
                "or az://"
            )
        refuse_unused(parts.scheme, access)
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        if self._folder and (parts.netloc not in {"", "localhost"} or not parts.path[:1] == "/"):
            raise ConfigError(
                f"SF_ASSETS_STORAGE_URL is {self.url!r}; a folder is named from the root on, with "
                f"three slashes: file://{Path.cwd() / parts.netloc / parts.path.lstrip('/')}"
            )
        with self._explained():
            if self._folder:
                private_folder(self._folder)
            self._store: ObjectStore = (
                LocalStore(self._folder) if self._folder else open_bucket(url, access)
            )
        # A generation tells two versions apart in GCS, elsewhere an etag.
        if parts.scheme == "gs":
            self._version = "version"
        if access.storage_class:
            self._attributes = {"Storage-Class": access.storage_class}

    def put(self, path: str, data: Any) -> None:
        """Write an object, over an older one of that path. `data` is bytes or a buffer.

        Into a bucket what is large goes in several requests at once.
        """
        attributes = self._attributes if path.endswith(_ROWS) else None
        with self._explained():
            self._store.put(path, data, attributes=attributes)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object unless there is one of that path; whether it was written."""
        pauses = iter(_PAUSES)
        with self._explained():
            while True:
                try:
                    self._store.put(path, data, mode="create")
                except AlreadyExistsError as error:
                    if not is_conflict(error):
                        return False
                    if (pause := next(pauses, None)) is None:
                        raise
                    time.sleep(pause)
                else:
                    return True

    def replace(self, path: str, data: bytes, tag: str | None) -> bool:
        """Write an object unless somebody else has since it was read.

        A bucket compares the tag itself. In a local folder that is done while a lock file is held,
        which the dead do not keep: no two of us replace the same version.

        Args:
            path: Of the object.
            data: What to write.
            tag: Of the version that was read, by `get_tagged`; None where there was none.

        Returns:
            Whether it was written.
        """
        if tag is None:
            return self.create(path, data)
        with self._explained():
            if self._folder is None:
                try:
                    self._store.put(path, data, mode=_only_over(self._version, tag))
                except (PreconditionError, AlreadyExistsError, FileNotFoundError) as error:
                    if lacks_bucket(error):
                        raise
                    return False
                return True
            with (self._folder / path).with_name(LOCK).open("w") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                try:
                    if self._store.head(path)["e_tag"] != tag:
                        return False
                except FileNotFoundError:
                    return False
                self._store.put(path, data)
                return True

    def get_tagged(self, path: str) -> tuple[bytes, str | None]:
        """Read an object, and the tag of its version.

        Raises:
            FileNotFoundError: There is none of that path.
        """
        with self._explained(reading=True):
            found = self._store.get(path)
            return bytes(found.bytes()), found.meta[self._version]

    def get(self, path: str) -> bytes:
        """Read an object.

        Raises:
            FileNotFoundError: There is none of that path.
        """
        with self._explained(reading=True):
            return bytes(self._store.get(path).bytes())

    def list(self, prefix: str) -> Iterator[Entry]:
        """Objects below a folder, in no order."""
        with self._explained():
            for chunk in self._store.list(prefix, chunk_size=_LIST_CHUNK):
                for meta in chunk:
                    yield Entry(meta["path"], meta["size"], meta["last_modified"])

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; those that are gone already are no error."""
        with self._explained():
            if self._folder:
                for path in paths:
                    self._delete(path)
            else:  # what takes long is each answer
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    deque(pool.map(self._delete, paths), maxlen=0)

    def _delete(self, path: str) -> None:
        try:
            self._store.delete(path)
        except FileNotFoundError as error:
            if lacks_bucket(error):
                raise

    def uri(self, path: str) -> str:
        """The address of an object, for people."""
        return f"{self.url.rstrip('/')}/{path}"

    def public_uri(self, path: str) -> str:
        """The address of an object or folder, with nothing in it that opens it."""
        parts = urlsplit(self.url)
        place = f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        return f"{parts.scheme}://{place}/{path}"

    @contextmanager
    def _explained(self, *, reading: bool = False) -> Iterator[None]:
        """Turn what the storage says into our error, in one line, without its debug output.

        Args:
            reading: Whether an object that is not there is an answer like another.
        """
        try:
            yield
        except (BaseError, OSError) as error:
            if reading and isinstance(error, FileNotFoundError) and not lacks_bucket(error):
                raise
            raise StorageError(
                f"the storage {self.url} refused: {brief(error)}; {advice(error)}"
            ) from None


def _only_over(kind: Literal["version", "e_tag"], tag: str) -> Any:
    """That an object is written over one version alone."""
    return {"version": tag} if kind == "version" else {"e_tag": tag}
