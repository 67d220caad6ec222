"""What dead runs left: recognised by belonging to nothing, and removed when it is old."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from sf_assets.storage.locks import locked
from sf_assets.storage.manifest import Counts, Slice, SliceKind, new_slice_id
from sf_assets.storage.parquet_writer import DAY, Layout, write_page
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.storage.store import Store
from sf_assets.storage.vacuum import remove_leftovers

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture
def raw(tmp_path: Path) -> RawLayer:
    return RawLayer(Store(f"file://{tmp_path}/raw"), "00D1")


def written(raw: RawLayer, **fields: object) -> Slice:
    """A slice whose files are there, and whose manifest is not."""
    slice_id = new_slice_id(NOON)
    layout = Layout(raw.raw_folder("account"), slice_id, None, DAY, "2026-11-21")
    rows = pa.RecordBatch.from_pydict({"Id": ["001"]})
    part = write_page(raw.store, layout, 0, [rows]).parts
    return Slice.model_validate(
        {
            "org_id": "00D1", "object": "Account", "id": slice_id, "kind": SliceKind.EXPORT,
            "start": NOON, "end": NOON + timedelta(hours=1), "read_at": NOON, "source": "rest",
            "soql": "", "fields": ("Id",), "parts": part,
            "counts": Counts(org=1, pages=1, parsed=1, written=1),
        } | fields
    )  # fmt: skip


def files(raw: RawLayer) -> set[str]:
    return {entry.path for entry in raw.store.list("00D1/raw")}


def test_only_old_files_of_no_slice_are_removed(raw: RawLayer) -> None:
    committed, drafted, orphan = written(raw), written(raw, job_id="750"), written(raw)
    raw.commit(committed)
    raw.note(drafted)
    raw.store.put("00D1/raw/account/date=2026-11-21/somebody-elses.parquet", b"x")
    assert [r.files for r in remove_leftovers(raw, datetime.now(UTC))] == [0]
    (removed,) = remove_leftovers(raw, LATER)
    assert (removed.slug, removed.files, removed.error) == ("account", 1, None)
    assert removed.bytes > 0
    assert orphan.parts[0].path not in files(raw)
    assert len(files(raw)) == 3


def test_an_object_at_work_is_left_alone(raw: RawLayer) -> None:
    written(raw)
    with locked(raw.store, raw.lock_folder("account"), "account"):
        (removed,) = remove_leftovers(raw, LATER)
    assert removed.waits
    assert len(files(raw)) == 1


def test_a_half_written_file_is_removed(raw: RawLayer, tmp_path: Path) -> None:
    raw.commit(written(raw))
    staged = tmp_path / "raw/00D1/raw/account/date=2026-11-21/x.parquet#1"
    staged.write_bytes(b"half")
    list(remove_leftovers(raw, datetime.now(UTC)))
    assert staged.exists()
    list(remove_leftovers(raw, LATER))
    assert not staged.exists()
