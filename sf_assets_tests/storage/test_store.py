"""The object storage: whole objects, by path."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sf_assets.addresses import shown
from sf_assets.errors import ConfigError, StorageError
from sf_assets.settings import Settings
from sf_assets.storage.store import Store
from sf_assets.warehouse.open import open_warehouse
from sf_assets_tests.salesforce.scripted import Reply, ScriptedServer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/raw")


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
    (tmp_path / "raw" / "m" / "half.json#1").write_bytes(b"{")
    assert [e.path for e in store.list("m")] == ["m/whole.json"]


def test_paths_are_told_as_addresses(store: Store) -> None:
    assert store.uri("a/b.json") == f"{store.url}/a/b.json"
    assert Store(f"{store.url}/").uri("b") == f"{store.url}/b"
    assert store.public_uri("a") == f"{store.url}/a"


def test_an_address_that_others_see_opens_nothing() -> None:
    store = Store("s3://key:secret@bucket/some/folder/?region=x&access_key_id=k&token=t")
    assert store.public_uri("raw/account") == "s3://bucket/some/folder/raw/account"


@pytest.mark.parametrize("url", ["", "raw", "/raw", "http://x/raw", "ftp://x"])
def test_an_address_of_no_storage_is_refused_by_its_variable(url: str) -> None:
    with pytest.raises(ConfigError, match="SF_ASSETS_STORAGE_URL"):
        Store(url)


def test_a_storage_that_refuses_says_briefly_which_and_what_to_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="check SF_ASSETS_STORAGE_URL") as caught:
        Store(f"file://{tmp_path}/file/raw").put("x", b"")
    assert len(str(caught.value)) < 400


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path, store: Store) -> None:
    (tmp_path / "raw").chmod(0o500)
    try:
        with pytest.raises(StorageError):
            store.put("x/y", b"")
    finally:
        (tmp_path / "raw").chmod(0o700)


SECRETS = ("u:pa55word", "pa55word", "s3cr3t")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:pa55word@host/db",
        "https://u:pa55word@host/bucket",
        "abs://u:pa55word@host/x?sas_token=s3cr3t&other=1",
        "duckdb://u:pa55word@host",
    ],
)
def test_an_address_is_shown_without_the_password_in_it(url: str) -> None:
    for opened in (Store, open_warehouse):
        with pytest.raises(ConfigError) as refused:
            opened(url)
        assert "host" in str(refused.value)
        for secret in SECRETS:
            assert secret not in str(refused.value)
    for secret in SECRETS:
        assert secret not in shown(url)
        assert secret not in repr(
            Settings.model_validate({"storage_url": url, "warehouse_url": url})
        )


@pytest.mark.parametrize("url", ["file://data/raw", "file:data/raw", "file://./raw"])
def test_a_folder_that_is_not_named_from_the_root_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`file://data/raw` once wrote to `/raw`."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"file://{tmp_path}/") as refused:
        Store(url)
    assert "raw" in str(refused.value)
    assert not list(tmp_path.iterdir())


NO_BUCKET = "<Error><Code>NoSuchBucket</Code><Message>The bucket does not exist</Message></Error>"
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
NO_KEY = "<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """What s3://bucket leads to."""
    with ScriptedServer() as server:
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, NO_BUCKET, "NoSuchBucket: The bucket does not exist; create the bucket"),
        (403, DENIED, "AccessDenied: Access Denied; let its credentials"),
    ],
)
def test_a_bucket_that_refuses_is_one_line(
    bucket: ScriptedServer, status: int, body: str, says: str
) -> None:
    """A bucket that does not exist was 132 lines of traceback."""
    for method in ("GET", "PUT", "POST", "DELETE"):
        bucket.on(method, ".*", Reply(status, body.encode()))
    store = Store("s3://bucket/prefix")
    asks: tuple[Callable[[], object], ...] = (
        lambda: store.put("a/b", b"x"),
        lambda: store.create("a/b", b"x"),
        lambda: store.get("a/b"),
        lambda: list(store.list("a")),
        lambda: store.delete(["a/b"]),
    )
    for ask in asks:
        with pytest.raises(StorageError) as refused:
            ask()
        assert says in str(refused.value)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 500


def test_an_object_that_is_not_in_a_bucket_is_an_answer(bucket: ScriptedServer) -> None:
    for method in ("GET", "POST"):
        bucket.on(method, ".*", Reply(404, NO_KEY.encode()))
    store = Store("s3://bucket/prefix")
    with pytest.raises(FileNotFoundError):
        store.get("a/b")


def test_a_storage_that_names_no_account_says_what_to_set() -> None:
    with pytest.raises(StorageError, match="AZURE_STORAGE_ACCOUNT_NAME") as refused:
        Store("az://container/x")
    assert "\n" not in str(refused.value)
