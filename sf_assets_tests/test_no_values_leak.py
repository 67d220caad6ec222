"""No record's value and no secret is written anywhere but into raw and the tables themselves.

An org with planted values is read with every kind of error that can be provoked, by the command
line and so through Dagster with a folder of its own; then all that was printed and written is
searched.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from sf_assets.cli import main
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Credentials, Settings
from sf_assets.warehouse.duckdb import database as warehouse
from sf_assets_tests.conftest import Workspace

TEXT, MAIL, INDUSTRY, PLAN = "qz7-name", "qz7@leak.example", "qz7-industry", "qz7-plan"
REVENUE, DATE = "7373737373.25", "qz7-31.12."
SECRETS = Credentials(
    client_secret="qz7-secret", password="qz7-password", security_token="qz7Token"
)
MARKS = ("qz7", "73737373")
"""What all planted values and secrets have in them, and nothing else has."""

GOLD = {
    "convert": "SELECT Name::INT AS n FROM silver.account",
    "parse": "SELECT strptime(Name, '%Y') AS n FROM silver.account",
    "overflow": "SELECT sum(AnnualRevenue * 1e30::DECIMAL(38, 2)) AS n FROM silver.account",
    "constant": "SELECT error(Name) AS n FROM silver.account",
    "key": "SELECT MAP {Name: 1, Name || '': 2} AS n FROM silver.account",
    "binder": "SELECT Nam FROM silver.account",
    "scalar": "SELECT (SELECT Name FROM silver.account) AS n FROM silver.opportunity",
    "many": "SELECT CAST(Amount AS DECIMAL(9, 2)) AS n FROM silver.opportunity",
}
CHECKS = [
    {"unique": "Name"},
    {"not_null": ["Site", "Nope__c"]},
    {"in_picklist": "Industry"},
    {"in_picklist": "Name"},
    {"matches": {"Name": "[A-Z]+"}},
    {"matches": {"AnnualRevenue": "a"}},
    {"between": {"AnnualRevenue": [0, 10]}},
    {"between": {"Name": [0, 1]}, "severity": "error"},
    {"references": "ParentId"},
]


@pytest.fixture
def org() -> Iterator[Emulator]:
    """An org with planted values; what is typed is respelt on its way."""
    settings = Settings(job_seconds=0.0, faults=True, credentials=SECRETS)
    with Emulator(scale=0.02, seed=5, settings=settings) as org:
        org.admin.add_field("Account", "Plan__c", {"type": "string", "length": 80}, PLAN)
        accounts = [row[0] for row in org.store.rows("SELECT Id FROM Account LIMIT 3")]
        for number, account in enumerate(accounts):
            org.records.update(
                "Account", account,
                {"Name": f"{TEXT} {number}", "AnnualRevenue": float(REVENUE),
                 "Industry": INDUSTRY, "Website": f"https://{MAIL}/", "Site": TEXT},
            )  # fmt: skip
        yield org


@pytest.fixture
def home(tmp_path: Path, org: Emulator, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose runs are kept by Dagster."""
    workspace = Workspace(tmp_path / "home", org.environment)
    for folder in ("home/gold", "dagster", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    for name, sql in GOLD.items():
        (workspace.folder / "gold" / f"{name}.sql").write_text(sql)
    workspace.catalogue(
        {"Account": {"checks": CHECKS, "history": True}, "Opportunity": None, "Contact": None},
        gold="gold",
    )
    for name, value in workspace.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(warehouse, "PATIENCE", 0.1)
    return workspace


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command; what it printed."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            main(arguments)
        out, err = capfd.readouterr()
        assert "Traceback (most recent call last)" not in out + err, out + err
        return out + err

    return run


@pytest.mark.slow
def test_nothing_planted_is_found_outside_raw_and_the_tables(
    tmp_path: Path, org: Emulator, home: Workspace, printed: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert org.faults
    said: list[str] = []
    org.faults.add(Fault(path="/query|/results", times=0, replace=respelt(org)))
    said += [printed("doctor"), printed("refresh")]
    for name in list(GOLD)[2:]:
        (home.folder / "gold" / f"{name}.sql").unlink()
    said.append(printed("refresh", "--json"))
    org.faults.clear()
    (home.folder / "gold" / "convert.sql").unlink()
    (home.folder / "gold" / "parse.sql").write_text("SELECT 1 AS n")
    org.admin.change_field("Account", "Plan__c", {"type": "double", "precision": 18, "scale": 2})
    org.admin.change_field("Account", "Site", {"type": "date"})
    org.admin.hide_object("Contact")
    touch(org)
    said += [printed("refresh"), printed("reconcile", "--json"), printed("rebuild")]
    for fault in (
        Fault(truncate_after=900),
        Fault(headers={"Sforce-NumberOfRecords": "7"}),
        Fault(replace={TEXT: "half \\ud83d of " + TEXT}),
        Fault(status=500, body=f"<html>{TEXT}</html>"),
    ):
        touch(org)
        org.faults.add(replace(fault, path="/query|/results", times=4))
        said.append(printed("refresh", "--object", "Account"))
    touch(org)
    with monkeypatch.context() as patched:
        patched.setattr(duckdb, "connect", held)
        said.append(printed("refresh"))
    said.append(printed("status", "--json"))
    monkeypatch.setenv("SALESFORCE_CLIENT_SECRET", f"{SECRETS.client_secret}-wrong")
    said += [printed("refresh"), printed("doctor", "--json")]

    tokens = tuple(org.org.sessions._sessions)  # noqa: SLF001
    assert tokens
    planted = f"SELECT count(*) > 0 FROM silver.account WHERE Name LIKE '%{TEXT}%'"
    assert home.rows(planted) == [(True,)]
    rejects = home.rows("SELECT count(*) FROM silver.opportunity_rejects")
    assert rejects[0][0] > 0, "values that cannot be typed were planted"
    for text in said:
        assert_clean("printed", text, tokens)
    for name, content in written(tmp_path):
        assert_clean(name, content, tokens)


def respelt(org: Emulator) -> dict[str, str]:
    """Typed values of some opportunity, in spellings that no type takes."""
    ((day,),) = org.store.rows("SELECT CloseDate FROM Opportunity LIMIT 1")
    return {f"{day:%Y-%m-%d}": DATE}


def touch(org: Emulator) -> None:
    """Change the planted records once more."""
    for (account,) in org.store.rows(f"SELECT Id FROM Account WHERE Name LIKE '%{TEXT}%'"):
        org.records.update("Account", account, {"Description": f"{TEXT} again"})


def held(*_: object, **__: object) -> None:
    """What opening a warehouse meets that another program holds; within one process none would."""
    raise duckdb.IOException(
        "IO Error: Could not set lock on file: Conflicting lock is held in python (PID 1). See"
    )


def written(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file's name, and its content; not of raw's rows and of the tables."""
    for path in folder.rglob("*"):
        if path.is_dir():
            continue
        name = str(path.relative_to(folder))
        yield "names", name
        if path.suffix in {".parquet", ".duckdb"} or path.name == "catalog.yaml":
            continue
        yield name, path.read_bytes().decode("utf-8", "replace")
        if path.read_bytes()[:15] == b"SQLite format 3":
            with sqlite3.connect(path) as events:
                yield name, "\n".join(events.iterdump())
    with duckdb.connect(folder / "home" / "warehouse.duckdb", read_only=True) as tables:
        for (table,) in tables.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'ops'"
        ).fetchall():
            yield f"ops.{table}", repr(tables.execute(f"FROM ops.{table}").fetchall())


def assert_clean(where: str, text: str, secrets: tuple[str, ...]) -> None:
    for mark in (*MARKS, *secrets):
        found = text.find(mark)
        assert found < 0, f"{where}: …{text[max(0, found - 300) : found + 100]}…"
