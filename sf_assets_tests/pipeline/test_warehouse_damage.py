"""What others do to the warehouse is noticed, and made good from extracted."""

import shutil
from pathlib import Path

import duckdb
import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.errors import StorageError, WarehouseDamagedError
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.load import behind, quarantine_if_damaged, rebuild
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets.storage import compaction
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

pytestmark = pytest.mark.duckdb


@pytest.fixture
def loaded(workspace: Workspace) -> Workspace:
    workspace.catalogue({"Campaign": None, "Product2": {"history": True}})
    assert not any(done.error for done in workspace.tick().values())
    for slug in ("campaign", "product2"):
        workspace.load(slug)
    return workspace


def write(workspace: Workspace, statement: str) -> None:
    with duckdb.connect(workspace.folder / "warehouse.duckdb") as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "done",
    [
        "DROP TABLE silver.campaign CASCADE",
        pytest.param("DROP VIEW silver.campaign_live", marks=pytest.mark.more),
        pytest.param("DROP TABLE silver.campaign_rejects", marks=pytest.mark.more),
        "ALTER TABLE silver.campaign DROP COLUMN Name",
        "ALTER TABLE silver.campaign ALTER COLUMN BudgetedCost TYPE DOUBLE",
        pytest.param("ALTER TABLE silver.campaign RENAME TO gone", marks=pytest.mark.more),
        "DROP SCHEMA silver CASCADE",
        pytest.param("DROP VIEW silver.product2_history", marks=pytest.mark.more),
        "DROP TABLE silver.product2_versions CASCADE",
        "DROP SCHEMA ops CASCADE",
    ],
)
def test_what_others_dropped_is_made_again_by_the_next_load(
    company: Emulator, loaded: Workspace, done: str
) -> None:
    org = loaded.org()
    assert behind(org, org.stored_raw) == set()
    write(loaded, done)

    noticed = behind(org, org.stored_raw)
    assert noticed
    for slug in noticed:
        loaded.load(slug)

    assert behind(org, org.stored_raw) == set()
    for name in ("Campaign", "Product2"):
        assert differences(company, loaded, name) == []
    assert loaded.rows("SELECT count(*) > 0 FROM silver.campaign_live") == [(True,)]
    assert loaded.rows("SELECT count(*) > 0 FROM silver.product2_history") == [(True,)]


def test_a_column_that_others_added_stays(loaded: Workspace) -> None:
    write(loaded, "ALTER TABLE silver.campaign ADD COLUMN theirs INTEGER")
    org = loaded.org()

    assert behind(org, org.stored_raw) == set()


def test_a_rebuild_puts_a_damaged_warehouse_aside(company: Emulator, loaded: Workspace) -> None:
    file = loaded.folder / "warehouse.duckdb"
    org = loaded.org()
    assert quarantine_if_damaged(org) is None
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(WarehouseDamagedError, match="sf-assets rebuild"):
        org.warehouse.check()

    aside = quarantine_if_damaged(org)

    assert aside
    assert aside.parent == Path(file.parent)
    for name in ("Campaign", "Product2"):
        rebuild(org, org.stored_raw, name.lower())
        assert differences(company, loaded, name) == []
    assert behind(org, org.stored_raw) == set()


@pytest.fixture
def extracted(tmp_path: Path, org: Emulator) -> Workspace:
    """A workspace of an org that this test alone changes."""
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Account": None})
    workspace.tick()
    return workspace


def rename(org: Emulator, workspace: Workspace, name: str, *, load: bool = True) -> None:
    account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]
    org.records.update("Account", account, {"Name": name})
    org.advance(7200)
    if load:
        workspace.tick()
    else:
        extract(workspace)


def extract(workspace: Workspace) -> None:
    """A tick without a warehouse."""
    org = workspace.org()
    assert all(one.error is None for one in execute(org, plan_tick(org, org.catalog.select([]))))


def manifests(workspace: Workspace) -> list[Path]:
    """Those of slices, oldest reading first."""
    found = workspace.folder.glob("raw/*/manifests/account/*.json")
    return sorted(found, key=lambda path: path.name.split("_")[3])


@pytest.mark.parametrize("compacted", [False, True])
def test_a_storage_that_was_restored_is_told_and_the_advice_makes_silver_right(
    org: Emulator, extracted: Workspace, monkeypatch: pytest.MonkeyPatch, *, compacted: bool
) -> None:
    rename(org, extracted, "in the backup")
    raw, backup = extracted.folder / "raw", extracted.folder / "backup"
    shutil.copytree(raw, backup)
    rename(org, extracted, "after the backup")
    if compacted:
        org.advance(3 * 3600)
        monkeypatch.setattr(compaction, "MANY", 2)
        assert compaction.compact_slices(extracted.org().stored_raw, "account", org.clock.now())
        monkeypatch.undo()
        extracted.load("account")
    shutil.rmtree(raw)
    backup.rename(raw)

    assert behind(extracted.org(), extracted.org().stored_raw) == {"account"}
    with pytest.raises(StorageError, match=r"are gone from .* restored .* or run `sf-assets rebu"):
        extracted.load("account")
    rebuild(extracted.org(), extracted.org().stored_raw, "account")

    names = extracted.rows("SELECT Name FROM silver.account WHERE Name LIKE '% the backup'")
    assert names == [("in the backup",)], "silver says what raw says"
    assert behind(extracted.org(), extracted.org().stored_raw) == set()
    org.advance(3600)
    extracted.tick()
    assert differences(org, extracted, "Account") == []
    assert behind(extracted.org(), extracted.org().stored_raw) == set()


def test_slices_whose_place_others_took_are_not_missed(
    org: Emulator, extracted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = extracted.org().stored_raw
    rename(org, extracted, "one")
    for name in ("two", "three"):
        rename(org, extracted, name)
        org.advance(3 * 3600)
        with monkeypatch.context() as patched:
            patched.setattr(compaction, "MANY", 1)
            assert compaction.compact_slices(raw, "account", org.clock.now())
        rebuild(extracted.org(), raw, "account")
        assert behind(extracted.org(), raw) == set(), "those that are still there need no merge"
        before = extracted.rows("SELECT count(*) FROM ops.merges")
        org.advance(2 * 3600)
        assert compaction.remove_replaced(raw, "account", org.clock.now())
        assert behind(extracted.org(), raw) == set()
        extracted.load("account")
        assert extracted.rows("SELECT count(*) FROM ops.merges") == before
    assert differences(org, extracted, "Account") == []


@pytest.mark.parametrize("merged", [False, True], ids=["slices", "compacted slice"])
def test_slices_that_were_compacted_twice_while_the_warehouse_was_away_are_not_lost(
    org: Emulator, extracted: Workspace, monkeypatch: pytest.MonkeyPatch, *, merged: bool
) -> None:
    monkeypatch.setattr(compaction, "MANY", 1)
    monkeypatch.setattr(compaction, "_joined", lambda fresh, older: [*fresh, *older])
    raw = extracted.org().stored_raw

    def compact() -> None:
        org.advance(3 * 3600)
        assert compaction.compact_slices(raw, "account", org.clock.now())
        org.advance(3 * 3600)
        compaction.remove_replaced(raw, "account", org.clock.now())

    rename(org, extracted, "one")
    if merged:  # of what it stands for, silver has the names
        compact()
        extracted.load("account")
    taken_up = extracted.rows("SELECT slice FROM ops.slices")
    for name in ("two", "three"):
        rename(org, extracted, name, load=False)
        compact()
    listed = {ref.id for ref in raw.refs()["account"] if not ref.kind.patches}
    named = {slice_id for piece in raw.slices("account") for slice_id in piece.replaces}
    (first, *_) = [slice_id for (slice_id,) in taken_up]
    assert first not in listed | named, "no manifest names it any more"

    assert behind(extracted.org(), raw) == {"account"}
    extracted.load("account")

    assert behind(extracted.org(), raw) == set()
    assert set(taken_up) < set(extracted.rows("SELECT slice FROM ops.slices")), (
        "nothing was made anew"
    )
    assert differences(org, extracted, "Account") == []


def test_a_table_that_others_changed_is_not_made_anew_of_a_raw_that_lacks_rows(
    org: Emulator, extracted: Workspace
) -> None:
    rename(org, extracted, "one")
    manifests(extracted)[-1].unlink()
    with duckdb.connect(str(extracted.folder / "warehouse.duckdb")) as connection:
        connection.execute("ALTER TABLE silver.account DROP COLUMN Website CASCADE")
    rows = extracted.rows("SELECT Id, Name FROM silver.account ORDER BY Id")

    with pytest.raises(StorageError, match="are gone from"):
        extracted.load("account")
    assert extracted.rows("SELECT Id, Name FROM silver.account ORDER BY Id") == rows


def test_a_list_of_deletions_that_is_lost_leaves_what_it_said(
    org: Emulator, extracted: Workspace
) -> None:
    gone = extracted.rows("SELECT max(Id) FROM silver.account_live")[0][0]
    org.records.purge("Account", gone)
    org.advance(7200)
    extracted.tick()
    rows = extracted.rows("FROM silver.account_live ORDER BY Id")
    (told,) = (path for path in manifests(extracted) if "_deletions_" in path.name)
    told.unlink()

    assert behind(extracted.org(), extracted.org().stored_raw) == {"account"}
    extracted.load("account")
    assert extracted.rows("FROM silver.account_live ORDER BY Id") == rows
    assert behind(extracted.org(), extracted.org().stored_raw) == set(), "it is said once"


@pytest.mark.parametrize("which", [0, -1], ids=["the oldest", "the newest"])
def test_a_slice_that_is_lost_by_itself_fails_and_silver_keeps_its_rows(
    org: Emulator, extracted: Workspace, which: int
) -> None:
    rename(org, extracted, "one")
    rename(org, extracted, "two")
    org.advance(7200)
    extract(extracted)  # nothing has changed: the newest window is proven to hold what raw holds
    rows = extracted.rows("FROM silver.account ORDER BY Id")
    manifests(extracted)[which].unlink()

    extract(extracted)
    with pytest.raises(StorageError, match=r"are gone from .* or run `sf-assets rebuild"):
        extracted.load("account")
    assert extracted.rows("FROM silver.account ORDER BY Id") == rows


def test_a_compacted_slice_that_is_lost_fails_and_silver_keeps_its_rows(
    org: Emulator, extracted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = extracted.org().stored_raw
    rename(org, extracted, "one")
    org.advance(3 * 3600)
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "MANY", 1)
        (made,) = compaction.compact_slices(raw, "account", org.clock.now())
    extracted.load("account")
    org.advance(3 * 3600)
    compaction.remove_replaced(raw, "account", org.clock.now())
    rename(org, extracted, "two")
    rows = extracted.rows("SELECT count(*) FROM silver.account")
    next(path for path in manifests(extracted) if made.id in path.name).unlink()

    assert behind(extracted.org(), raw) == {"account"}
    with pytest.raises(StorageError, match=rf"are gone .* newest {made.id}.* or run `sf-ass"):
        extracted.load("account")
    assert extracted.rows("SELECT count(*) FROM silver.account") == rows


def test_a_manifest_that_is_cut_is_seen_where_nothing_changed(
    org: Emulator, extracted: Workspace
) -> None:
    rename(org, extracted, "one")
    oldest = manifests(extracted)[0]
    whole = oldest.read_bytes()
    for cut in (b"", whole[: len(whole) // 2]):
        oldest.write_bytes(cut)
        assert behind(extracted.org(), extracted.org().stored_raw) == {"account"}
        with pytest.raises(StorageError, match=rf"{oldest.name} cannot be read.*restore it"):
            extracted.load("account")
    oldest.write_bytes(whole + b"\n")
    assert behind(extracted.org(), extracted.org().stored_raw) == {"account"}, (
        "a size says where to look"
    )
    extracted.load("account")
    assert behind(extracted.org(), extracted.org().stored_raw) == set()


def test_a_rebuild_from_a_raw_that_has_nothing_is_refused(
    org: Emulator, extracted: Workspace
) -> None:
    rows = extracted.rows("FROM silver.account ORDER BY Id")
    folder = manifests(extracted)[0].parent
    folder.rename(extracted.folder / "elsewhere")

    with pytest.raises(StorageError, match="has no slice of account, and silver has rows"):
        rebuild(extracted.org(), extracted.org().stored_raw, "account")

    assert extracted.rows("FROM silver.account ORDER BY Id") == rows
    org.advance(3600)
    extract(extracted)
    rebuild(extracted.org(), extracted.org().stored_raw, "account")
    assert differences(org, extracted, "Account") == []
