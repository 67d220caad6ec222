"""What others do to the warehouse is noticed, and made good from raw."""

from pathlib import Path

import duckdb
import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.errors import WarehouseDamagedError
from sf_assets.pipeline.load import behind, put_aside_if_damaged, rebuild
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences


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
        "DROP VIEW silver.campaign_live",
        "DROP TABLE silver.campaign_rejects",
        "ALTER TABLE silver.campaign DROP COLUMN Name",
        "ALTER TABLE silver.campaign ALTER COLUMN BudgetedCost TYPE DOUBLE",
        "ALTER TABLE silver.campaign RENAME TO gone",
        "DROP SCHEMA silver CASCADE",
        "DROP VIEW silver.product2_history",
        "DROP TABLE silver.product2_versions CASCADE",
        "DROP SCHEMA ops CASCADE",
    ],
)
def test_what_others_dropped_is_made_again_by_the_next_load(
    company: Emulator, loaded: Workspace, done: str
) -> None:
    org = loaded.org()
    assert behind(org, org.kept_lake) == set()
    write(loaded, done)

    noticed = behind(org, org.kept_lake)
    assert noticed
    for slug in noticed:
        loaded.load(slug)

    assert behind(org, org.kept_lake) == set()
    for name in ("Campaign", "Product2"):
        assert differences(company, loaded, name) == []
    assert loaded.rows("SELECT count(*) > 0 FROM silver.campaign_live") == [(True,)]
    assert loaded.rows("SELECT count(*) > 0 FROM silver.product2_history") == [(True,)]


def test_a_column_that_others_added_stays(loaded: Workspace) -> None:
    write(loaded, "ALTER TABLE silver.campaign ADD COLUMN theirs INTEGER")
    org = loaded.org()

    assert behind(org, org.kept_lake) == set()


def test_a_rebuild_puts_a_damaged_warehouse_aside(company: Emulator, loaded: Workspace) -> None:
    file = loaded.folder / "warehouse.duckdb"
    org = loaded.org()
    assert put_aside_if_damaged(org) is None
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(WarehouseDamagedError, match="sf-assets rebuild"):
        org.warehouse.check()

    aside = put_aside_if_damaged(org)

    assert aside
    assert aside.parent == Path(file.parent)
    for name in ("Campaign", "Product2"):
        rebuild(org, org.kept_lake, name.lower())
        assert differences(company, loaded, name) == []
    assert behind(org, org.kept_lake) == set()
