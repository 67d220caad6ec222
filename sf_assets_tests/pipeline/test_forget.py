"""A record that is forgotten is nowhere any more, whatever happens on the way."""

import itertools
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sf_assets.cli import main
from sf_assets.cli.report import carry_out
from sf_assets.emulator.server import Emulator
from sf_assets.errors import ConfigError
from sf_assets.pipeline.forget import Forgotten, forget
from sf_assets.pipeline.load import behind, rebuild
from sf_assets.pipeline.lost_files import lost_files
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.reconciliation.reconcile import reconcile
from sf_assets.pipeline.refresh import refresh
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.storage.store import Store
from sf_assets.warehouse.postgres.connection import PostgresConnection
from sf_assets_tests.conftest import Workspace

NAME, MAIL = "zq7 Łucja ♞", "zq7@planted.example"
GOLD = "SELECT Id, LastName FROM silver.contact_live"
PLACES = (
    "raw/contact", "raw/case", "silver.contact", "silver.contact_versions", "silver.case_versions",
    "restricted.contact", "ops.failures", "events.db",
)  # fmt: skip
SUMS = """
SELECT object, slice FROM ops.sync_log WHERE error IS NULL AND (
    rows_org <> rows_pages OR rows_pages <> rows_parsed
    OR rows_parsed <> rows_written + rows_known + rows_removed
    OR merge_rows_in <> merge_inserted + merge_updated + merge_unchanged + merge_stale)
"""


def planted(org: Emulator, workspace: Workspace) -> str:
    """A contact of an account, read in several versions, that a case led to; then purged."""
    records = org.org.records
    (workspace.folder / "gold").mkdir()
    (workspace.folder / "gold" / "people.sql").write_text(GOLD)
    workspace.catalogue(
        {
            "Contact": {"history": True, "privacy": {"Department": "restricted"},
                        "checks": [{"not_null": "AssistantName"}]},
            "Case": {"history": True},
        },
        gold="gold",
    )  # fmt: skip
    contact = records.insert("Contact", {"LastName": NAME, "Email": MAIL, "Department": "zq7 ward"})
    case = org.store.rows('SELECT "Id" FROM "Case" LIMIT 1')[0][0]
    records.update("Case", case, {"ContactId": contact})
    steps: tuple[Callable[[], object], ...] = (
        lambda: records.update("Contact", contact, {"LastName": f"{NAME} again"}),
        lambda: records.update("Case", case, {"ContactId": None}),
        lambda: records.delete("Contact", contact),
    )
    for step in steps:
        org.advance(60)
        workspace.tick()
        step()
    org.advance(60)
    workspace.tick()
    records.purge("Contact", contact)
    org.advance(60)
    return str(contact)


def refreshed(workspace: Workspace) -> None:
    assert carry_out([workspace.org()], refresh).errors == {}


def forgotten(org: Org, record: str) -> Forgotten:
    return forget(org, org.catalog.select(["Contact"])[0], [record])


def written(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def found_in(folder: Path, *marks: str) -> set[str]:
    """Files that have a text in them, as it is or in what Parquet makes of it."""
    import polars as pl

    found = set()
    for path, data in written(folder).items():
        rows = path.endswith(".parquet") and repr(pl.read_parquet(data).rows()).encode()
        found |= {path for mark in marks if mark.encode() in (rows or data)}
    return found


@pytest.mark.slow
def test_a_forgotten_record_is_nowhere(
    own_workspace: Workspace, living_org: Emulator, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    home = tmp_path / "dagster"
    home.mkdir()
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    record = planted(living_org, own_workspace)
    refreshed(own_workspace)
    with closing(sqlite3.connect(home / "events.db")) as events, events:
        events.execute("CREATE TABLE event_logs (event TEXT)")
        events.execute("INSERT INTO event_logs VALUES (?)", [f'{{"ids": "{record}, 003x"}}'])
    own_workspace.change(f"INSERT INTO ops.failures (error) VALUES ('of {record}')")
    lake = own_workspace.folder / "raw"
    assert found_in(lake, record) != set()
    before = own_workspace.rows("SELECT count(*) FROM silver.contact")[0][0]

    def ran(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["forget", *arguments])
        return int(ended.value.code or 0), "".join(capfd.readouterr())

    code, said = ran("--object", "contact", "--id", record, "--json")
    assert code == 0, said
    assert '"remains": []' in said
    for place in PLACES:
        assert place in said, place
    assert found_in(lake, record[:15], "zq7") == set()
    assert found_in(home, record[:15]) == set()
    assert found_in(tables_of(own_workspace), record[:15], "zq7", MAIL) == set()
    assert own_workspace.rows("SELECT count(*) FROM silver.contact") == [(before - 1,)]
    assert own_workspace.rows(f"SELECT * FROM gold.people WHERE Id = '{record}'") == []

    org = own_workspace.org()
    raw = org.stored_raw
    assert behind(org, raw) == set()
    assert own_workspace.rows(SUMS) == []
    with org.reading(raw.org_id) as session:
        assert lost_files(raw, session.slices) == {}
    assert all(piece.counts.agree for piece in raw.slices("contact"))
    living_org.advance(7200)  # deletions are asked for
    refreshed(own_workspace)
    assert found_in(lake, record[:15], "zq7") == set()
    assert all(one.equal for one in reconcile(own_workspace.org(), org.catalog.select([])))
    rows = own_workspace.rows("SELECT * FROM silver.contact_versions ORDER BY Id, _read_at")
    rebuild(own_workspace.org(), raw, "contact")
    again = own_workspace.rows("SELECT * FROM silver.contact_versions ORDER BY Id, _read_at")
    assert sorted(map(repr, again)) == sorted(map(repr, rows))
    code, said = ran("--object", "Contact", "--id", record[:15], "--json")
    assert (code, '"removed": []' in said) == (0, True)


def test_what_the_org_still_has_is_not_forgotten(
    own_workspace: Workspace, living_org: Emulator
) -> None:
    own_workspace.catalogue({"Contact": None, "Account": None})
    refreshed(own_workspace)
    records = living_org.org.records
    contact = records.insert("Contact", {"LastName": NAME})
    records.delete("Contact", contact)
    before = written(own_workspace.folder / "raw")
    account = own_workspace.rows("SELECT min(Id) FROM silver.account")[0][0]
    for record, why in (
        (str(contact), "still has 003.*, perhaps in its recycle bin"),
        (account, "is no Id of Contact, which begin with 003"),
        ("003", "is no Id of Contact"),
        (f"{contact}' OR Id <> '", "is no Id of Contact"),
    ):
        with pytest.raises(ConfigError, match=why):
            forgotten(own_workspace.org(), record)
    assert written(own_workspace.folder / "raw").keys() >= before.keys()


def tables_of(workspace: Workspace) -> Path:
    """A folder with the files that the warehouse's tables are in, as they are on the disk."""
    url: str = workspace.env["SF_ASSETS_WAREHOUSE_URL"]
    if url.startswith("postgresql"):
        with closing(PostgresConnection(url)) as connection:
            connection.run("CHECKPOINT")
            ((oid,),) = connection.run(
                "SELECT oid::text FROM pg_database WHERE datname = current_database()"
            )
        return Path(parse_qs(urlsplit(url).query)["host"][0]) / "data" / "base" / str(oid)
    folder = workspace.folder / "tables"
    folder.mkdir()
    for path in workspace.folder.glob("warehouse*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


class Interrupted(BaseException):
    """The process ends here."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Has the storage, and each transaction, end the process before the n-th change."""

    def after(changes: int) -> list[int]:
        left = [changes]

        def count() -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Interrupted

        def put(self: Store, path: str, data: Any) -> None:
            if "/locks/" not in path:
                count()
            real_put(self, path, data)

        def delete(self: Store, paths: Any) -> None:
            for path in paths:
                if "/locks/" not in path:
                    count()
                real_delete(self, [path])

        monkeypatch.setattr(Store, "put", put)
        monkeypatch.setattr(Store, "delete", delete)
        return left

    real_put, real_delete = Store.put, Store.delete
    return after


@pytest.mark.more
def test_whoever_is_killed_while_forgetting_leaves_nothing_wrong(
    own_workspace: Workspace, living_org: Emulator, dying: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    record = planted(living_org, own_workspace)
    raw = own_workspace.org().stored_raw
    for changes in itertools.count():
        dying(changes)
        org = own_workspace.org()
        with suppress(Interrupted):
            found = forgotten(org, record)
            break
        dying(10**9)
        assert_whole(own_workspace.org().stored_raw)
    dying(10**9)
    assert changes > 4, "it was interrupted"
    assert found.remains == {}
    assert found.errors == {}
    assert found_in(own_workspace.folder / "raw", record[:15], "zq7") == set()

    records = living_org.org.records
    other = str(records.insert("Contact", {"LastName": NAME}))
    living_org.advance(60)
    own_workspace.tick()
    records.delete("Contact", other)
    records.purge("Contact", other)
    held = f"SELECT count(*) FROM silver.contact WHERE Id = '{other}'"
    for step, left in (("_forget_in_warehouse", 1), ("load", 0), ("follow", 0)):
        with monkeypatch.context() as patched:
            patched.setattr(f"sf_assets.pipeline.forget.{step}", interrupt)
            with suppress(Interrupted):
                forgotten(own_workspace.org(), other)
        assert own_workspace.rows(held) == [(left,)], step
        assert found_in(own_workspace.folder / "raw", other[:15], "zq7") == set()
    assert forgotten(own_workspace.org(), other).remains == {}
    refreshed(own_workspace)
    assert behind(own_workspace.org(), raw) == set()


def interrupt(*_: object, **__: object) -> None:
    raise Interrupted


def assert_whole(raw: RawLayer) -> None:
    """All that manifests name is there, and their counts hold."""
    from sf_assets.storage.parquet_reader import scan

    for slug, refs in raw.refs().items():
        for piece in raw.read(refs):
            assert piece.counts.agree, slug
            assert sum(map(len, scan(raw.store, piece))) == piece.counts.written
