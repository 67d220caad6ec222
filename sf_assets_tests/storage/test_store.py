"""The object storage: whole objects, by path."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sf_assets.errors import ConfigError, StorageError
from sf_assets.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/lake")


def test_what_is_put_can_be_read_listed_and_deleted(store: Store) -> None:
    store.put("a/b/one.json", b"1")
    store.put("a/two.json", memoryview(b"22"))
    assert store.get("a/b/one.json") == b"1"
    assert {(e.path, e.size) for e in store.list("a")} == {("a/b/one.json", 1), ("a/two.json", 2)}
    (entry,) = store.list("a/b")
    assert abs(entry.modified - datetime.now(UTC)) < timedelta(minutes=1)
    store.delete(["a/b/one.json", "never/was.json"])
    assert [e.path for e in store.list("a")] == ["a/two.json"]
    with pytest.raises(FileNotFoundError):
        store.get("a/b/one.json")


def test_a_listing_is_of_a_folder_not_of_names_that_begin_alike(store: Store) -> None:
    store.put("manifests/account/1.json", b"")
    store.put("manifests/accountshare/2.json", b"")
    assert [e.path for e in store.list("manifests/account")] == ["manifests/account/1.json"]
    assert list(store.list("nowhere")) == []


def test_a_put_replaces_and_a_create_does_not(store: Store) -> None:
    assert store.create("claim.json", b"mine")
    assert not store.create("claim.json", b"yours")
    assert store.get("claim.json") == b"mine"
    store.put("claim.json", b"replaced")
    assert store.get("claim.json") == b"replaced"


def test_only_one_of_many_creates_wins(store: Store) -> None:
    won = []
    threads = [
        threading.Thread(target=lambda n=n: won.append(n) if store.create("x", b"%d" % n) else None)
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [b"%d" % n for n in won] == [store.get("x")]


def test_readers_see_all_of_an_object_or_nothing(store: Store) -> None:
    versions = [bytes([n]) * (2 << 20) for n in range(8)]
    store.put("x", versions[0])

    def write() -> None:
        for version in versions:
            store.put("x", version)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert store.get("x") in versions
    writer.join()


def test_what_a_writer_left_when_it_was_killed_is_not_listed(store: Store, tmp_path: Path) -> None:
    store.put("m/whole.json", b"{}")
    (tmp_path / "lake" / "m" / "half.json#1").write_bytes(b"{")
    assert [e.path for e in store.list("m")] == ["m/whole.json"]


def test_paths_are_told_as_addresses(store: Store) -> None:
    assert store.uri("a/b.json") == f"{store.url}/a/b.json"
    assert Store(f"{store.url}/").uri("b") == f"{store.url}/b"


@pytest.mark.parametrize("url", ["", "lake", "/lake", "http://x/lake", "ftp://x"])
def test_an_address_of_no_storage_is_refused_by_its_variable(url: str) -> None:
    with pytest.raises(ConfigError, match="SF_ASSETS_STORAGE_URL"):
        Store(url)


def test_a_storage_that_refuses_says_briefly_which_and_what_to_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="check SF_ASSETS_STORAGE_URL") as caught:
        Store(f"file://{tmp_path}/file/lake").put("x", b"")
    assert len(str(caught.value)) < 400


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path, store: Store) -> None:
    (tmp_path / "lake").chmod(0o500)
    try:
        with pytest.raises(StorageError):
            store.put("x/y", b"")
    finally:
        (tmp_path / "lake").chmod(0o700)
