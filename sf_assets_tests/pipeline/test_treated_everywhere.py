"""Values of treated fields are in raw alone: not in tables, files, logs, events or on the terminal.

Beside what `test_no_values_leak` looks at, the warehouse's own files are searched, byte by byte.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sf_assets.cli import main
from sf_assets.emulator.server import Emulator
from sf_assets_tests.conftest import Workspace

MARKS = ("zq7", "73737373", "♞", "木村", "🦄")
VALUES = {
    "LastName": "zq7-Łucja ♞ 木村", "Email": "zq7@planted.example", "Phone": "+48 73737373",
    "Title": "zq7 🦄", "Department": "zq7 \U0001f984 ward", "Description": "zq7\u2028\r\n;,\"'",
}  # fmt: skip
PRIVACY = {
    "LastName": "hash", "Email": "hash", "Phone": "mask", "Title": "drop", "Department": "drop",
    "Description": "hash", "Birthdate": "hash",
}  # fmt: skip
CHECKS = [
    {"unique": "Email"}, {"matches": {"Email": "a"}}, {"in_picklist": "Title"},
    {"between": {"Birthdate": [0, 1]}},
]  # fmt: skip
COMMANDS = (
    "refresh --json", "reconcile --all-fields", "refresh --derived", "doctor",
)  # fmt: skip
GOLD = "SELECT Id, LastName::INT AS n FROM silver.contact"


@pytest.mark.more
@pytest.mark.duckdb
def test_planted_values_of_treated_fields_are_in_raw_alone(  # noqa: PLR0917 (fixtures)
    own_workspace: Workspace, living_org: Emulator, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    home = tmp_path / "dagster"
    home.mkdir()
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold" / "wrong.sql").write_text(GOLD)
    (tmp_path / "gold" / "raw.sql").write_text("SELECT Id, Email, Phone FROM raw.contact")
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("SF_ASSETS_HASH_KEY", key := "zq-key of more than enough letters")
    caplog.set_level(logging.DEBUG, "sf_assets")
    for (contact,) in living_org.store.rows('SELECT "Id" FROM "Contact" LIMIT 3'):
        living_org.org.records.update("Contact", contact, VALUES)
    living_org.advance(60)

    def ran(*arguments: str) -> None:
        with pytest.raises(SystemExit):
            main(arguments)

    own_workspace.catalogue({"Contact": {"history": True}})  # in the clear, at first
    ran("refresh")
    contacts = {"history": True, "privacy": PRIVACY, "checks": CHECKS}
    own_workspace.catalogue({"Contact": contacts}, gold="gold")
    for arguments in COMMANDS:
        ran(*arguments.split())
    monkeypatch.setenv("SF_ASSETS_HASH_KEY", "")
    ran("refresh", "--object", "Contact")
    said = "".join(capfd.readouterr()) + caplog.text
    assert "SF_ASSETS_HASH_KEY is not set" in said
    assert own_workspace.rows("SELECT count(*) FROM silver.contact") != [(0,)]
    marked = {
        name: mark for name, text in searched(tmp_path) for mark in (*MARKS, key) if mark in text
    }
    assert {name for name in marked if "/raw/" not in name} == set()
    assert any("/raw/" in name for name in marked), "they were planted"
    assert not any(mark in said for mark in (*MARKS, key))


def searched(folder: Path) -> Iterator[tuple[str, str]]:
    """All files below a folder as they are on the disk; of raw's rows and databases, what they say.

    The emulator's own are elsewhere, and the catalogue names no value.
    """
    import duckdb
    import polars as pl

    for path in folder.rglob("*"):
        if path.is_dir():
            continue
        name, data = str(path.relative_to(folder)), path.read_bytes()
        yield name, data.decode("utf-8", "replace")
        if path.suffix == ".parquet":
            yield name, repr(pl.read_parquet(data).rows())
        if data[:15] == b"SQLite format 3":
            with closing(sqlite3.connect(path)) as events:
                yield name, "\n".join(events.iterdump())
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as tables:
                for schema, table in tables.execute(
                    "SELECT schema_name, table_name FROM duckdb_tables()"
                ).fetchall():
                    rows = tables.execute(f'FROM "{schema}"."{table}"').fetchall()
                    yield f"{name}: {schema}.{table}", repr(rows)
