"""One org's raw layer: slices, coverage, journal, describes."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sf_assets.describe import FieldInfo, ObjectInfo
from sf_assets.errors import BusyError, StorageError, WrongOrgError
from sf_assets.storage import coverage_log as proofs_module
from sf_assets.storage.manifest import Part, Slice, SliceKind, new_slice_id
from sf_assets.storage.raw_layer import RawLayer, open_raw, owner_of
from sf_assets.storage.store import Store
from sf_assets.windows import BEGIN, Coverage, Window

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(minute: int) -> datetime:
    """A moment; the first one is minus infinity."""
    return BEGIN if minute == 0 else NOON + timedelta(minutes=minute)


def window(start: int, end: int) -> Window:
    return Window(at(start), at(end))


def piece(name: str = "Account", start: int = 0, end: int = 1, **more: Any) -> Slice:
    fields = {
        "org_id": "00D1", "object": name, "id": new_slice_id(NOON), "kind": SliceKind.EXPORT,
        "start": at(start), "end": at(end), "read_at": NOON, "source": "bulk", "soql": "",
        "fields": ("Id",),
    }  # fmt: skip
    return Slice.model_validate(fields | more)


@pytest.fixture
def raw(tmp_path: Path) -> RawLayer:
    return open_raw(Store(f"file://{tmp_path}/raw"), "00D1", "default")


def again(raw: RawLayer) -> RawLayer:
    """The same raw layer, as another process finds it."""
    return RawLayer(Store(raw.store.url), raw.org_id)


class Interrupted(Exception):  # noqa: N818 -- it is no error of the code under test
    """The process was killed."""


class Fragile(Store):
    """A storage under which the process dies when it has made so many changes."""

    def __init__(self, url: str, changes: int) -> None:
        super().__init__(url)
        self._left = changes

    def _change(self) -> None:
        if self._left == 0:
            raise Interrupted
        self._left -= 1

    def put(self, path: str, data: Any) -> None:
        """One change."""
        self._change()
        super().put(path, data)

    def delete(self, paths: Iterable[str]) -> None:
        """A change for each path."""
        for path in paths:
            self._change()
            super().delete([path])


def test_a_slice_exists_once_it_is_committed(raw: RawLayer) -> None:
    first, second = piece(start=0, end=5), piece(start=5, end=9)
    assert raw.refs() == {}
    for slice_ in (second, first):
        raw.commit(slice_)
    other = piece("Lead")
    raw.commit(other)
    refs = again(raw).refs()
    assert refs == {"account": [first.ref, second.ref], "lead": [other.ref]}
    assert list(raw.read(refs["account"][::-1])) == [second, first]
    assert raw.refs("lead") == {"lead": [other.ref]}
    assert raw.refs("acc") == {}


def test_files_of_somebody_else_are_no_slices(raw: RawLayer) -> None:
    raw.commit(piece())
    (entry,) = raw.store.list("00D1/manifests")
    for name in ("README.md", ".DS_Store", "account/notes.json", "account/deeper/x.json"):
        raw.store.put(f"00D1/manifests/{name}", b"{}")
    raw.store.put(f"{entry.path}.bak", raw.store.get(entry.path))
    assert {slug: len(refs) for slug, refs in raw.refs().items() if refs} == {"account": 1}
    assert raw.coverage()["account"] == Coverage([window(0, 1)])


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b'{"version": 2}', b"\xff\xfe"])
def test_a_manifest_that_cannot_be_read_is_named_with_what_to_do(
    raw: RawLayer, data: bytes
) -> None:
    raw.commit(piece())
    (entry,) = raw.store.list("00D1/manifests")
    raw.store.put(entry.path, data)
    with pytest.raises(StorageError, match=r"cannot be read.*reconcile --repair") as caught:
        list(raw.read(raw.refs()["account"]))
    assert raw.store.uri(entry.path) in str(caught.value)


def test_a_manifest_that_is_gone_is_named(raw: RawLayer) -> None:
    raw.commit(piece())
    refs = raw.refs()["account"]
    raw.store.delete([entry.path for entry in raw.store.list("00D1/manifests")])
    with pytest.raises(StorageError, match=refs[0].file):
        list(raw.read(refs))


def test_coverage_comes_from_slices_and_from_what_was_proven_unchanged(raw: RawLayer) -> None:
    raw.commit(piece(start=0, end=5))
    raw.coverage_log.add(
        {"account": [window(5, 9)], "lead": [window(0, 3), window(4, 6)]}, {}, NOON
    )
    raw.coverage_log.add({"account": [window(20, 30)]}, {}, NOON)
    covered = again(raw).coverage()
    assert covered["account"] == Coverage([window(0, 9), window(20, 30)])
    assert covered["lead"] == Coverage([window(0, 3), window(4, 6)])
    assert covered["account"].watermark == at(9)
    assert "case" not in covered


def test_settled_is_what_was_read_when_it_could_no_longer_change(raw: RawLayer) -> None:
    quarter = int(raw.late / timedelta(minutes=1))
    raw.commit(piece(start=0, end=60, id=new_slice_id(at(62))))
    raw.commit(piece("Lead", start=0, end=60, id=new_slice_id(at(60 + quarter))))
    raw.commit(piece("Case", start=0, end=60, id=new_slice_id(at(5000))))  # a clock was ahead
    raw.coverage_log.add({"task": [window(0, 9)]}, {}, NOON, {"task": [window(0, 4)]})
    raw.coverage_log.add({"event": [window(0, 9)]}, {}, NOON)
    settled = again(raw).inventory(at(80)).settled
    assert settled["account"].watermark == at(62 - quarter)
    assert settled["lead"].watermark == at(60)
    assert settled["case"].watermark == at(60 - quarter)
    assert settled["task"].watermark == at(4)
    assert "event" not in settled


def test_coverage_manifests_of_earlier_releases_count_as_settled(raw: RawLayer) -> None:
    edges = [["begin", "20261121T120900Z"]]
    old = {"version": 1, "org_id": "00D1", "windows": {"account": edges}, "deletions": {}}
    raw.store.put(f"00D1/coverage/{new_slice_id(NOON)}.json", json.dumps(old).encode())
    assert raw.inventory(NOON).settled["account"].watermark == at(9)
    for minute in range(9, 50):
        news = {"account": [window(minute, minute + 1)]}
        raw.coverage_log.add(news, {}, NOON, news if minute < 20 else {})
    raw.coverage_log.tidy(NOON)
    assert len(list(raw.store.list("00D1/coverage"))) == 1
    assert raw.inventory(NOON).settled["account"].watermark == at(20)
    assert raw.coverage()["account"].watermark == at(50)


def test_nothing_to_cover_leaves_no_file(raw: RawLayer) -> None:
    raw.coverage_log.add({}, {}, NOON)
    assert list(raw.store.list("00D1/coverage")) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version": 2, "windows": {}}',
        b'{"version": 1, "windows": {"a": [["x", "y"]]}}',
        b'{"org_id": "00D1", "windows": {"a": [["20261121T120000Z", "20261121T110000Z"]]}}',
        b'{"org_id": "00D2", "windows": {"a": [["20261121T110000Z", "20261121T120000Z"]]}}',
        b"\xff" * 9,
        b"[" * 9999,
    ],
)
def test_a_coverage_manifest_that_cannot_be_read_proves_nothing_and_is_removed(
    raw: RawLayer, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    raw.coverage_log.add({"lead": [window(0, 3)]}, {}, NOON)
    path = "00D1/coverage/20261121T120000Z-0a1b2c3d.json"
    raw.store.put(path, data)
    for _ in range(2):
        assert raw.coverage() == {"lead": Coverage([window(0, 3)])}
    assert caplog.text.count(path) == 1


coverings = st.lists(
    st.dictionaries(
        st.sampled_from(["account", "lead", "case"]),
        st.lists(
            st.tuples(st.integers(0, 20), st.integers(1, 5)).map(lambda p: window(p[0], sum(p))),
            min_size=1, max_size=3,
        ),
        min_size=1, max_size=3,
    ),
    max_size=8,
)  # fmt: skip


@given(coverings, st.integers(0, 12), st.integers(0, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_tidying_keeps_every_window_wherever_it_is_interrupted(
    tmp_path_factory: pytest.TempPathFactory,
    some: list[Mapping[str, list[Window]]],
    changes: int,
    most: int,
) -> None:
    url = f"file://{tmp_path_factory.mktemp('raw')}"
    calm, fragile = RawLayer(Store(url), "00D1"), RawLayer(Fragile(url, changes), "00D1")
    for windows in some:
        calm.coverage_log.add(windows, {}, NOON)
    before = calm.coverage()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proofs_module, "_MOST_FILES", most)
        with suppress(Interrupted):
            fragile.coverage_log.tidy(NOON)
        assert calm.coverage() == before
        calm.coverage_log.tidy(NOON)
    assert calm.coverage() == before
    assert len(list(calm.store.list("00D1/coverage"))) <= max(1, most)


def test_two_processes_that_tidy_at_the_same_time_lose_nothing(raw: RawLayer) -> None:
    for minute in range(40):
        raw.coverage_log.add({"account": [window(minute, minute + 1)]}, {}, NOON)
    other = again(raw)

    class Slow(Store):
        def get(self, path: str) -> bytes:
            """Read after somebody else has tidied."""
            other.coverage_log.tidy(NOON)
            return super().get(path)

    RawLayer(Slow(raw.store.url), "00D1").coverage_log.tidy(NOON)
    assert len(list(raw.store.list("00D1/coverage"))) < 32
    assert raw.coverage()["account"] == Coverage([window(0, 40)])


def test_few_coverage_manifests_are_left_alone(raw: RawLayer) -> None:
    raw.coverage_log.add({"account": [window(0, 1)]}, {}, NOON)
    before = list(raw.store.list("00D1/coverage"))
    raw.coverage_log.tidy(NOON)
    assert list(raw.store.list("00D1/coverage")) == before


def test_the_journal_remembers_what_was_at_work_until_it_is_done(raw: RawLayer) -> None:
    draft, other = piece(job_id="750A"), piece("Lead", job_id="750B")
    raw.note(draft)
    raw.note(other)
    assert again(raw).drafts("account") == [draft]
    assert raw.refs() == {}
    assert raw.coverage() == {}
    raw.forget(draft)
    raw.forget(draft)
    assert raw.drafts("account") == []
    assert raw.drafts("lead") == [other]


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 9999])
def test_a_note_in_the_journal_that_cannot_be_read_is_removed(
    raw: RawLayer, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    draft = piece()
    raw.note(draft)
    raw.store.put("00D1/journal/account/x.json", data)
    for _ in range(2):
        assert raw.drafts("account") == [draft]
    assert caplog.text.count("journal/account/x.json cannot be read") == 1


def test_a_manifest_that_was_copied_is_not_taken_for_one(raw: RawLayer) -> None:
    """Wherever to: the rows would get into a table that they are not of, or cover too much."""
    ours, other = piece(), piece("Contact")
    raw.commit(ours)
    data = raw.store.get(f"00D1/manifests/account/{ours.ref.file}")
    for path in (
        f"00D1/manifests/contact/{ours.ref.file}",
        f"00D1/manifests/account/{other.ref.file}",
        f"00D1/manifests/account/{piece(start=3, end=9).ref.file}",
        f"00D1/manifests/account/{ours.ref.file.replace('export', 'snapshot')}",
    ):
        raw.store.put(path, data)
        slug = path.split("/")[2]
        with pytest.raises(StorageError, match=r"so it is a copy; .*remove it") as caught:
            list(raw.read(raw.refs(slug)[slug]))
        assert raw.store.uri(path) in str(caught.value)
        raw.store.delete([path])
    assert list(raw.read(raw.refs("account")["account"])) == [ours]
    raw.store.put(f"00D2/manifests/account/{ours.ref.file}", data)
    elsewhere = RawLayer(raw.store, "00D2")
    with pytest.raises(StorageError, match="is of org 00D1, not of this one"):
        list(elsewhere.read(elsewhere.refs()["account"]))


@pytest.mark.parametrize("path", ["raw/contact/date=2026/{id}-p0.parquet", "raw/account/x.parquet"])
def test_a_manifest_names_only_files_of_its_own(raw: RawLayer, path: str) -> None:
    ours = piece()
    part = Part(path=f"00D1/{path.format(id=ours.id)}", rows=1, bytes=1, sha256="", label="2026")
    raw.commit(ours.model_copy(update={"parts": (part,)}))
    with pytest.raises(StorageError, match="which is not a file of it"):
        list(raw.read(raw.refs()["account"]))


@pytest.mark.parametrize("data", [b"", b"{}", b'{"org_id": null}', b'{"org_id": ""}', b"\xff"])
def test_a_storage_whose_owner_cannot_be_read_is_nobodys_to_guess(
    raw: RawLayer, data: bytes
) -> None:
    raw.store.put("org-default.json", data)
    with pytest.raises(StorageError, match=r"org-default\.json.*restore it, or write"):
        open_raw(raw.store, "00D1", "default")


def test_a_storage_belongs_to_the_first_org_that_uses_it(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/raw"
    assert owner_of(Store(url), "default") is None
    open_raw(Store(url), "00D1", "default")
    assert open_raw(Store(url), "00D1", "default").org_id == "00D1"
    assert owner_of(Store(url), "default") == "00D1"
    with pytest.raises(
        WrongOrgError, match=r"holds the data of org 00D1.*lead to org 00D2"
    ) as caught:
        open_raw(Store(url), "00D2", "default")
    assert "SF_ASSETS_STORAGE_URL" in str(caught.value)


def test_several_orgs_share_a_storage_under_names_of_their_own(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/raw"
    uk, us = open_raw(Store(url), "00D1", "uk"), open_raw(Store(url), "00D2", "us")
    uk.commit(piece())
    uk.note(piece())
    uk.coverage_log.add({"account": [window(1, 2)]}, {}, NOON)
    account = ObjectInfo(name="Account", fields=(FieldInfo(name="Id", type="id"),))
    uk.describes.keep(NOON, {}, ["account"], lambda _slug, _before: account)
    assert uk.describes.names() == {"account"}
    assert us.refs() == us.coverage() == us.describes.last(["account"]) == {}
    assert us.describes.names() == set()
    assert us.drafts("account") == []
    assert uk.raw_folder("account").startswith("00D1/")


def test_manifests_are_plain_json_for_anybody_to_read(raw: RawLayer) -> None:
    raw.commit(piece(soql="SELECT Id FROM Account", start=0, end=60))
    (entry,) = raw.store.list("00D1/manifests")
    document = json.loads(raw.store.get(entry.path))
    assert (document["version"], document["org_id"], document["object"]) == (1, "00D1", "Account")
    assert (document["start"], document["end"]) == ("begin", "20261121T130000Z")
    assert entry.path.startswith("00D1/manifests/account/begin_20261121T130000Z_export_")


def test_a_reading_is_later_than_any_before_it_whatever_the_clock_says(raw: RawLayer) -> None:
    assert raw.reading("account", at(5)) == at(5)
    raw.commit(piece(id=new_slice_id(at(5))))
    assert raw.reading("account", at(5)) == at(5) + timedelta(seconds=1)
    assert raw.reading("account", at(3)) == at(5) + timedelta(seconds=1)
    assert raw.reading("account", at(7)) == at(7)
    assert raw.reading("contact", at(3)) == at(3)
    raw.note(piece(id=new_slice_id(at(9)), job_id="750"))
    assert again(raw).reading("account", at(3)) == at(9) + timedelta(seconds=1)


def test_a_slice_is_not_committed_under_a_lock_that_was_lost(raw: RawLayer) -> None:
    with raw.working("account", "Account"):
        raw.commit(piece())
        # Another run took this one for dead, and has ended since.
        claims = [entry.path for entry in raw.store.list(raw.lock_folder("account"))]
        raw.store.delete(claims)
        raw.store.put(f"{raw.lock_folder('account')}/000001.json", b"{}")
        with pytest.raises(BusyError, match="the lock of Account was lost"):
            raw.commit(piece(start=1, end=2))
        raw.commit(piece("Contact"))
    assert {slug: len(refs) for slug, refs in raw.refs().items()} == {"account": 1, "contact": 1}
