"""What every storage does alike, on the real servers of each kind."""

import hashlib
import os
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sf_assets.errors import StorageError
from sf_assets.storage import parquet_writer
from sf_assets.storage.locks import locked
from sf_assets.storage.parquet_writer import DAY, Layout, write_page
from sf_assets.storage.store import Store
from sf_assets_tests.object_stores import Bucket, Moto, all_asks, s3_env
from sf_assets_tests.salesforce.scripted import Heard, Reply, ScriptedServer

RACERS = 20
ONE_REQUEST = 5 << 20
_Result = TypeVar("_Result")


@pytest.fixture
def store(bucket: Bucket) -> Store:
    return bucket.store()


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


def test_names_that_people_and_hive_give_come_out_as_they_went_in(store: Store) -> None:
    paths = {"raw/account/date=2026-11-20/x-p0.parquet", "a b/ü+%20&'/1.json", "a/~!()*.json"}
    for path in paths:
        store.put(path, path.encode())
    assert {entry.path for entry in store.list("")} == paths
    assert all(store.get(path) == path.encode() for path in paths)
    store.delete(paths)
    assert list(store.list("")) == []


def test_a_listing_is_of_a_folder_not_of_names_that_begin_alike(store: Store) -> None:
    store.put("manifests/account/1.json", b"")
    store.put("manifests/accountshare/2.json", b"")
    assert [e.path for e in store.list("manifests/account")] == ["manifests/account/1.json"]
    assert list(store.list("nowhere")) == []


def test_an_object_is_created_once_and_replaced_only_as_it_was_read(store: Store) -> None:
    assert store.create("x.json", b"1")
    assert not store.create("x.json", b"2")
    data, first = store.get_tagged("x.json")
    assert data == b"1"
    assert first
    assert store.replace("x.json", b"3", first)
    assert not store.replace("x.json", b"4", first)
    assert store.get("x.json") == b"3"
    store.put("x.json", b"5")
    assert store.get("x.json") == b"5"
    assert store.replace("y.json", b"1", None)
    assert not store.replace("y.json", b"2", None)


def test_an_object_that_is_gone_is_not_replaced(store: Store) -> None:
    store.put("x.json", b"1")
    _, tag = store.get_tagged("x.json")
    store.delete(["x.json"])
    assert not store.replace("x.json", b"2", tag)
    with pytest.raises(FileNotFoundError):
        store.get("x.json")


def test_one_of_many_who_create_the_same_object_wins(store: Store) -> None:
    won = _at_once(lambda n: store.create("claim.json", b"%d" % n))
    assert sum(won) == 1
    assert store.get("claim.json") == b"%d" % won.index(True)


def test_no_update_of_many_who_replace_the_same_object_is_lost(store: Store) -> None:
    store.put("count.json", b"")

    def add(number: int) -> bool:
        while True:
            data, tag = store.get_tagged("count.json")
            if store.replace("count.json", data + b"%d " % number, tag):
                return True

    assert all(_at_once(add))
    assert sorted(map(int, store.get("count.json").split())) == list(range(RACERS))


def test_a_lock_is_held_by_one_at_a_time(store: Store) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with locked(store, "locks/account", "Account", patience=30):
            with lock:
                inside, most = inside + 1, max(most, inside + 1)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert most == 1


def test_a_page_is_written_in_parts_and_never_held_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits at random hardly compress: each file is larger than one request into a bucket."""
    chunk = 12 << 20
    monkeypatch.setattr(parquet_writer, "CHUNK_BYTES", chunk)
    rows, width, batches = 10_000, 620, 9
    digits = os.urandom(rows * width).hex()
    held = []

    def parsed(number: int) -> pa.RecordBatch:
        held.append(pa.total_allocated_bytes())
        starts = range(number, number + rows * width, width)
        texts = [digits[start : start + width] for start in starts]
        stamps = [f"2026-11-{20 + number // 5}T00:00:00.000Z"] * rows
        ids = [f"{number:03}{n:012}" for n in range(rows)]
        return pa.record_batch({"Id": ids, "SystemModstamp": stamps, "Text": texts})

    layout = Layout("org/raw/account", "20261120T000000Z-00000000", "SystemModstamp", DAY, "x")
    written = write_page(store, layout, 0, map(parsed, range(batches)))
    assert written.rows == batches * rows
    assert max(part.bytes for part in written.parts) > ONE_REQUEST
    assert max(held) - held[0] < 3 * chunk
    stored = {entry.path: entry.size for entry in store.list("org/raw")}
    assert stored == {part.path: part.bytes for part in written.parts}
    for part in written.parts:
        data = store.get(part.path)
        assert hashlib.sha256(data).hexdigest() == part.sha256
        assert pq.read_table(pa.BufferReader(data), columns=["Id"]).num_rows == part.rows


def test_a_listing_goes_on_over_pages(moto: Moto, s3: Bucket) -> None:
    moto.fill(s3, "org/manifests/account", 1_100)
    assert len({entry.path for entry in s3.store().list("org/manifests")}) == 1_100


def test_a_long_listing_is_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred pages of a thousand: a server of S3 itself would take minutes for them here."""
    pages, told = 100, "2026-11-28T08:00:00.000Z"
    more_told = f"<Size>1</Size><LastModified>{told}</LastModified>"
    listed = "".join(
        f"<Contents><Key>lake/m/@{number:03}.json</Key>{more_told}</Contents>"
        for number in range(1000)
    )

    def page(request: Heard) -> Reply:
        number = int(request.query.get("continuation-token", "0"))
        more = number + 1 < pages
        following = f"<NextContinuationToken>{number + 1}</NextContinuationToken>" if more else ""
        body = (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{following}"
            f"{listed.replace('@', f'{number:03}')}</ListBucketResult>"
        )
        return Reply(body=body.encode(), headers={"Content-Type": "application/xml"})

    with ScriptedServer() as server:
        server.on("GET", ".*", page)
        env = s3_env(server.url)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        tracemalloc.start()
        try:
            count = sum(1 for _ in Bucket("s3://bucket/lake", env).store().list("m"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count == 1000 * pages
    assert peak < 8 << 20


def test_a_bucket_that_does_not_exist_is_told_in_one_line(bucket: Bucket) -> None:
    if bucket.kind == "file":
        pytest.skip("a folder that does not exist is made")
    store = Bucket(f"{bucket.kind}://nobodysbucket/lake", bucket.env).store()
    asks = all_asks(store)
    if bucket.kind == "az":  # obstore takes it for an object that is gone already
        asks = asks[:-1]
    for ask in asks:
        with pytest.raises(StorageError, match="create the bucket") as refused:
            ask()
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 500


def _at_once(work: Callable[[int], _Result]) -> list[_Result]:
    barrier = threading.Barrier(RACERS)

    def start(number: int) -> _Result:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(start, range(RACERS)))
