"""Records are forgotten in each place, whatever becomes of the others; what is away is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sf_assets.cli.commands import cli
from sf_assets.emulator.server import Emulator
from sf_assets.errors import ConfigError, WarehouseError
from sf_assets.pipeline.forget import forget
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.untraceable import untraceable
from sf_assets.warehouse.duckdb.warehouse import DuckDBWarehouse
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.several import Several, two_files


def ran(files: Several | Workspace, *arguments: str, code: int = 0) -> Any:
    found = CliRunner().invoke(cli, [*arguments, "--json"], env=files.env)
    assert found.exit_code == code, found.output
    return json.loads(found.stdout)


def gone_from(org: Emulator, files: Several) -> str:
    """A contact that both warehouses have, and the org has no more."""
    contact = str(org.org.records.insert("Contact", {"LastName": "zq7"}))
    org.advance(60)
    ran(files, "refresh")
    org.org.records.delete("Contact", contact)
    org.org.records.purge("Contact", contact)
    org.advance(60)
    return contact


def test_a_warehouse_that_is_away_is_told_and_keeps_from_no_other_place(
    tmp_path: Path, living_org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = two_files(tmp_path, living_org)
    home = tmp_path / "dagster"
    home.mkdir()
    record = gone_from(living_org, files)
    asked = ("forget", "--object", "Contact", "--id", record)
    (home / "note").write_text(record)
    monkeypatch.setenv("DAGSTER_HOME", str(home))

    def unreachable(self: DuckDBWarehouse) -> bool:
        if "main" in str(self):
            raise WarehouseError("it is away")
        return True

    with monkeypatch.context() as patched:
        patched.setattr(DuckDBWarehouse, "exists", unreachable)
        told = ran(files, *asked, code=1)
    assert list(told["errors"].values()) == ["it is away"]
    places = {row["place"] for row in told["removed"]}
    assert {"reporting: silver.contact", str(home / "note")} <= places

    path = files.main.folder / "warehouse.duckdb"
    aside = path.rename(tmp_path / "aside")
    told = ran(files, *asked, code=1)
    assert told["errors"] == {}
    assert list(told["not_searched"]) == [f"default: main: {path}"]
    aside.rename(path)
    told = ran(files, *asked)
    assert (told["ok"], told["not_searched"]) == (True, {})
    assert "main: silver.contact" in {row["place"] for row in told["removed"]}


def test_an_id_whose_letters_do_not_fit_is_refused(
    own_workspace: Workspace, living_org: Emulator
) -> None:
    own_workspace.catalogue({"Contact": None})
    org = own_workspace.org()
    record = str(living_org.org.records.insert("Contact", {"LastName": "zq7"}))
    for wrong in (record.swapcase(), record[:15] + record[15:].lower(), f"{record[:15]}zzz"):
        with pytest.raises(ConfigError, match="last three letters say which of the others are"):
            forget(org, org.catalog.select(["Contact"])[0], [wrong])


def test_a_warehouse_that_comes_back_is_made_to_forget_by_the_next_run(
    tmp_path: Path, living_org: Emulator
) -> None:
    files = two_files(tmp_path, living_org)
    record = gone_from(living_org, files)
    path = files.main.folder / "warehouse.duckdb"
    aside = path.rename(tmp_path / "aside")
    files.main.folder.joinpath("warehouse.published.duckdb").unlink()
    ran(files, "forget", "--object", "Contact", "--id", record, code=1)
    aside.rename(path)
    held = f"SELECT count(*) FROM silver.contact WHERE Id = '{record}'"
    assert files.main.rows(held) == [(1,)]
    files.tick()
    assert files.main.rows(held) == [(0,)]
    ran(files, "refresh")
    for file in files.main.folder.iterdir():
        assert record[:15].encode() not in file.read_bytes(), file
    told = ran(files, "forget", "--object", "Contact", "--id", record)
    assert (told["ok"], told["removed"]) == (True, [])


def test_what_leads_to_a_forgotten_record_is_found_though_its_own_row_is_not_there(
    own_workspace: Workspace, living_org: Emulator
) -> None:
    own_workspace.catalogue({"Account": None, "Contact": None})
    account = str(living_org.org.records.insert("Account", {"Name": "zq7"}))
    records = living_org.org.records
    contact = str(records.insert("Contact", {"LastName": "x", "AccountId": account}))
    living_org.advance(60)
    own_workspace.tick()
    own_workspace.change(f"DELETE FROM silver.account WHERE Id = '{account}'")
    org = own_workspace.org()
    org.raw.note_forgotten("account", [account], org.client.now())
    assert "account" in behind(org, org.raw)
    own_workspace.load("account")
    led = own_workspace.rows(f"SELECT AccountId FROM silver.contact WHERE Id = '{contact}'")
    assert led == [(None,)]
    assert "account" not in behind(org, org.raw)


def test_copies_that_nobody_makes_anew_are_removed(tmp_path: Path, living_org: Emulator) -> None:
    files = two_files(tmp_path, living_org)
    record = gone_from(living_org, files)
    asked = ("forget", "--object", "Contact", "--id", record)
    folder = files.main.folder
    copy = folder / "warehouse.published.duckdb"
    (folder / "warehouse.published.duckdb.new").write_bytes(copy.read_bytes())
    (folder / "warehouse.duckdb.renewed.wal").write_text(record)
    path = folder / "warehouse.duckdb"
    aside = path.rename(tmp_path / "aside")
    assert str(copy) in {row["place"] for row in ran(files, *asked, code=1)["remains"]}
    aside.rename(path)
    address = files.env["SF_ASSETS_WAREHOUSES"]
    files.env["SF_ASSETS_WAREHOUSES"] = address.replace(",", "?publish=off,")
    told = ran(files, *asked)
    assert {path.name for path in folder.glob("warehouse*")} == {"warehouse.duckdb"}
    assert str(copy) in {row["place"] for row in told["removed"]}
    assert files.other.folder.joinpath("warehouse.published.duckdb").exists()


def test_parents_fields_of_nobody_knows_whom_are_told(
    own_workspace: Workspace, living_org: Emulator
) -> None:
    query = own_workspace.folder / "case.soql"
    own_workspace.catalogue({"Account": None, "Contact": None, "Case": {"soql": "case.soql"}})

    def told(slug: str) -> dict[str, str]:
        """Which fields, and by which reference it would be known whose they are."""
        found = untraceable(own_workspace.org().stored_raw, slug)
        return {f"{one.slug}.{one.path}": one.reference for one in found if one.rows}

    fields = "Id, SystemModstamp, IsDeleted, Contact.Name, Contact.Account.Name"
    query.write_text(f"SELECT {fields} FROM Case")
    ran(own_workspace, "refresh")
    assert told("Contact") == {
        "case.Contact.Name": "ContactId", "case.Contact.Account.Name": "ContactId"
    }  # fmt: skip
    assert told("Account") == {"case.Contact.Account.Name": "Contact.AccountId"}
    assert told("Lead") == {}

    contact = str(living_org.org.records.insert("Contact", {"LastName": "zq7"}))
    living_org.org.records.delete("Contact", contact)
    living_org.org.records.purge("Contact", contact)
    said = ran(own_workspace, "forget", "--object", "Contact", "--id", contact, code=1)
    assert "Select ContactId, too, run `sf-assets backfill" in str(said["errors"])
    assert {row["place"].rpartition("/")[2] for row in said["remains"]} == {
        "case: Contact.Name", "case: Contact.Account.Name"
    }  # fmt: skip

    query.write_text(f"SELECT {fields}, ContactId FROM Case")
    cases = {"soql": "case.soql", "retention_days": 1}
    own_workspace.catalogue({"Account": None, "Contact": None, "Case": cases})
    since, until = "2000-01-01", f"{own_workspace.org().client.now():%Y-%m-%d}"
    ran(own_workspace, "backfill", "--object", "Case", "--from", since, "--to", until)
    living_org.advance(2 * 86400)
    ran(own_workspace, "refresh")
    ran(own_workspace, "rebuild", "--object", "Case")
    assert ran(own_workspace, "forget", "--object", "Contact", "--id", contact)["ok"]


def test_parents_fields_whose_reference_is_read_are_not_told(own_workspace: Workspace) -> None:
    query = own_workspace.folder / "case.soql"
    own_workspace.catalogue({"Case": {"soql": "case.soql"}})
    query.write_text(
        "SELECT Id, SystemModstamp, IsDeleted, ContactId, contact.Name, Contact.AccountId, "
        "Contact.Account.Name FROM Case"
    )
    ran(own_workspace, "refresh")
    raw = own_workspace.org().stored_raw
    assert [*untraceable(raw, "contact"), *untraceable(raw, "Account")] == []
