"""Manifests and their file names."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sf_assets.storage.manifest import (
    Counts,
    Part,
    Slice,
    SliceKind,
    SliceRef,
    column_name,
    new_slice_id,
)
from sf_assets.windows import BEGIN, Window

last = BEGIN.replace(year=9999, tzinfo=None)
seconds = st.datetimes(max_value=last).map(lambda d: d.replace(microsecond=0, tzinfo=UTC))
windows = st.builds(
    lambda start, length: Window(start, start + timedelta(seconds=length)),
    st.just(BEGIN) | seconds,
    st.integers(1, 10**7),
)
refs = st.builds(
    SliceRef, st.just("account"), windows, st.sampled_from(SliceKind), seconds.map(new_slice_id)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
parts = st.builds(
    Part,
    path=texts,
    rows=st.integers(0, 10**9),
    bytes=st.integers(0, 10**9),
    sha256=texts,
    label=st.sampled_from(["2026-11-20", "2026-11", "2026"]),
)
slices = st.builds(
    lambda window, **more: Slice(start=window.start, end=window.end, **more),
    window=windows,
    org_id=st.just("00D000000000001AAA"),
    object=st.sampled_from(["Account", "Invoice__c"]),
    id=seconds.map(new_slice_id),
    kind=st.sampled_from(SliceKind),
    read_at=seconds,
    source=st.sampled_from(["bulk", "rest"]),
    job_id=st.none() | st.just("750xx0000000001AAA"),
    soql=texts,
    cursor=st.none() | st.just("SystemModstamp"),
    fields=st.lists(st.sampled_from(["Id", "Owner.Name", "X__c"]), max_size=4).map(tuple),
    counts=st.builds(Counts, org=st.integers(0, 99), known=st.integers(0, 99)),
    min_cursor=st.none() | texts,
    max_cursor=st.none() | texts,
    parts=st.lists(parts, max_size=3).map(tuple),
)


@given(refs)
def test_a_file_name_tells_all_that_a_listing_needs(ref: SliceRef) -> None:
    assert SliceRef.parse("account", ref.file) == ref


@given(st.lists(refs, max_size=6))
def test_references_sort_by_window(some: list[SliceRef]) -> None:
    assert [r.window for r in sorted(some)] == sorted(r.window for r in some)


@given(slices)
def test_a_manifest_comes_back_as_it_was_written(piece: Slice) -> None:
    assert Slice.model_validate_json(piece.model_dump_json(exclude_none=True)) == piece
    assert piece.ref == SliceRef(piece.object.lower(), piece.window, piece.kind, piece.id)


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name + ".bak",
        lambda name: name.removesuffix(".json"),
        lambda name: name.replace("export", "exports"),
        lambda name: name.replace("begin", "start"),
        lambda name: name.replace("begin", "20261121T000000Z"),
        lambda name: name.replace("2026", "26"),
        lambda name: "copy_of_" + name,
        lambda name: "~" + name,
        lambda name: name.replace("_", "-"),
        lambda _: ".json",
        lambda _: "README.md",
    ],
)
def test_somebody_elses_file_is_none_of_our_slices(change: Callable[[str], str]) -> None:
    name = "begin_20261121T000000Z_export_20261121T000500Z-0a1b2c3d.json"
    assert is_ours(name)
    assert not is_ours(change(name))


def is_ours(name: str) -> bool:
    try:
        return SliceRef.parse("account", name).file == name
    except ValueError:
        return False


def test_a_manifest_of_a_newer_format_is_not_misread() -> None:
    piece = Slice(
        org_id="00D", object="X", id="i", kind=SliceKind.EXPORT, start=BEGIN,
        end=datetime(2026, 1, 1, tzinfo=UTC), read_at=datetime(2026, 1, 1, tzinfo=UTC),
        source="rest", soql="", fields=("Id",),
    )  # fmt: skip
    assert piece.version == 1
    with pytest.raises(ValidationError):
        Slice.model_validate_json(piece.model_dump_json().replace('"version":1', '"version":2'))


def test_slice_ids_are_fresh_and_sort_by_their_read_time() -> None:
    now = datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert new_slice_id(now) != new_slice_id(now)
    assert new_slice_id(now).startswith("20261121T100000Z-")
    assert max(new_slice_id(now) for _ in range(20)) < new_slice_id(now + timedelta(seconds=1))


def test_parent_fields_are_kept_in_columns_without_dots() -> None:
    assert column_name("Name") == "Name"
    assert column_name("Account.Owner.Name") == "Account_Owner_Name"


@pytest.mark.parametrize("name", ["org", "pages", "parsed", "known", "written"])
def test_the_ledger_agrees_only_if_no_row_is_lost_or_invented_anywhere(name: str) -> None:
    even = {"org": 10, "pages": 10, "parsed": 10, "known": 3, "written": 7}
    assert Counts(**even).agree
    assert not Counts(**(even | {name: even[name] + 1})).agree
    assert not Counts(**(even | {name: even[name] - 1})).agree
