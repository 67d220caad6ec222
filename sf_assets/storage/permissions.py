"""What a storage lets us do: each kind of request is tried, with small files that are removed."""

import contextlib
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from sf_assets.errors import StorageError
from sf_assets.storage.store import LOCK, Store

_FIRST, _SECOND = b"written by sf-assets doctor", b"written over by sf-assets doctor"

_GRANTS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "write": "s3:PutObject",
        "list": "s3:ListBucket",
        "read": "s3:GetObject",
        "create": "s3:PutObject",
        "replace": "s3:PutObject",
        "delete": "s3:DeleteObject",
    },
    "gs": {
        "write": "storage.objects.create and storage.objects.delete",
        "list": "storage.objects.list",
        "read": "storage.objects.get",
        "create": "storage.objects.create",
        "replace": "storage.objects.create and storage.objects.delete",
        "delete": "storage.objects.delete",
    },
}
"""What clouds call the permissions; in Azure `Storage Blob Data Contributor` has them all."""


def try_permissions(store: Store) -> dict[str, StorageError | None]:
    """Try whether a storage can be written, listed, read, created in, replaced in and deleted from.

    Returns:
        What does not work, with the reason, and None for what does, by these words.
    """
    path = f"doctor-{uuid.uuid4().hex}.txt"
    questions: Mapping[str, Callable[[], None]] = {
        "write": lambda: store.put(path, _FIRST),
        "list": lambda: _list(store, path),
        "read": lambda: _read(store, path),
        "create": lambda: _create(store, path),
        "replace": lambda: _replace(store, path),
        "delete": lambda: store.delete([path, _other(path), LOCK]),
    }
    return {what: _asked(question) for what, question in questions.items()}


def missing_permissions(store: Store, found: Mapping[str, StorageError | None]) -> str:
    """What does not work, in words: what to grant, and what the storage said."""
    lacking = {what: error for what, error in found.items() if error}
    works = [what for what, error in found.items() if not error]
    said = list(dict.fromkeys(str(error) for error in lacking.values()))
    grants = _GRANTS.get(urlsplit(store.url).scheme, {})
    needed = dict.fromkeys(grants[what] for what in lacking if what in grants)
    advice = f", so grant {', '.join(needed)}" if needed and works else ""
    return (
        f"works: {', '.join(works) or 'nothing'}; does not work: {', '.join(lacking)}{advice}. "
        + " ".join(said)
    )


def _asked(question: Callable[[], None]) -> StorageError | None:
    try:
        question()
    except StorageError as error:
        return error
    return None


def _other(path: str) -> str:
    return path.replace(".txt", "-created.txt")


def _list(store: Store, path: str) -> None:
    deque(
        store.list(path), maxlen=0
    )  # of a folder that there is none of: an answer, and a short one


def _read(store: Store, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # what could not be written; it is an answer
        store.get(path)


def _create(store: Store, path: str) -> None:
    if not store.create(_other(path), _FIRST) or store.create(_other(path), _SECOND):
        raise StorageError(
            f"the storage {store.url} creates a file that is there already (it does not heed "
            "If-None-Match), so two runs could take one lock; use a storage that heeds it"
        )


def _replace(store: Store, path: str) -> None:
    try:
        _, tag = store.get_tagged(path)
    except FileNotFoundError:  # what could not be written can be replaced no more
        tag = "0"
    if store.replace(path, _SECOND, tag) and store.replace(path, _FIRST, tag):
        raise StorageError(
            f"the storage {store.url} writes over a version that was not read (it does not heed "
            "If-Match), so runs could undo each other's work; use a storage that heeds it"
        )
