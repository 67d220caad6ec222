"""Bad input ends in one clear message that says what to do, exit code 1, and nothing lost."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.cli.forking import Outcome
from sf_assets_tests.conftest import FAST, Workspace


def refused(outcome: Outcome, *words: str) -> None:
    """One message with these words, no traceback, exit code 1."""
    said = outcome.out + outcome.err
    assert outcome.code == 1, said
    assert "Traceback" not in said, said
    for word in words:
        assert word in said.replace("\n", " "), said


def test_nothing_is_set(shell: Shell) -> None:
    refused(shell("refresh"), "SALESFORCE_LOGIN_URL", ".env", "sf-assets emulator")


def test_a_wrong_password(shell: Shell, workspace: Workspace) -> None:
    workspace.catalogue({"Account": None})
    env = workspace.env | {"SALESFORCE_CLIENT_SECRET": "wr0ng"}
    outcome = shell("refresh", env=env)
    refused(outcome, "invalid_client", "SALESFORCE_CLIENT_SECRET")
    assert "wr0ng" not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", ("nothing answers", "SALESFORCE_LOGIN_URL")),
        ("my-org", ("SALESFORCE_LOGIN_URL", "https://")),
    ],
)
def test_a_wrong_address(
    shell: Shell, workspace: Workspace, url: str, words: tuple[str, ...]
) -> None:
    workspace.catalogue({"Account": None})
    refused(shell("doctor", env=workspace.env | {"SALESFORCE_LOGIN_URL": url}), *words)


def test_an_address_that_is_no_org(shell: Shell, workspace: Workspace, tmp_path: Path) -> None:
    workspace.catalogue({"Account": None})
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
        env={"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split()[0]
        env = workspace.env | {"SALESFORCE_LOGIN_URL": f"http://127.0.0.1:{port}"}
        refused(
            shell("refresh", env=env), "not how a Salesforce org answers", "SALESFORCE_LOGIN_URL"
        )
    finally:
        server.terminate()
        server.communicate()


def test_an_unknown_object_does_not_stop_the_others(shell: Shell, workspace: Workspace) -> None:
    workspace.catalogue({"Nope__c": None, "Account": None})
    outcome = shell("refresh", env=workspace.env)
    refused(outcome, "nope__c", "NOT_FOUND", "ids, rejects, references")
    assert outcome.out.count("there is no table yet") == 1
    assert workspace.rows("SELECT count(*) > 0 FROM silver.account") == [(True,)]


def test_an_unknown_field_does_not_stop_the_others(shell: Shell, workspace: Workspace) -> None:
    workspace.catalogue({"Contact": {"fields": ["Id", "Nope"]}, "Account": None})
    refused(shell("refresh", env=workspace.env), "contact", "Nope", "catalog.yaml:")
    assert workspace.rows("SELECT count(*) > 0 FROM silver.account") == [(True,)]


@pytest.mark.parametrize(
    ("soql", "words"),
    [
        (
            "SELECT Id, SystemModstamp, IsDeleted FROM Contact WHERE Name = 'x",
            ("contact.soql:1", "no end"),
        ),
        ("SELECT Id FROM Contact", ("contact.soql", "SystemModstamp, IsDeleted")),
        ("SELECT Id, SystemModstamp, IsDeleted FROM Contact LIMIT 5", ("LIMIT", "whole")),
        (
            "SELECT Id, SystemModstamp, IsDeleted FROM Contact WHERE Nmae = 'x'",
            ("contact.soql: ", "INVALID_FIELD", "Nmae"),
        ),
        (
            "SELECT Id, SystemModstamp, IsDeleted FROM Contact WHERE Name == 'x'",
            ("contact.soql: ", "MALFORMED_QUERY"),
        ),
    ],
)
def test_a_query_file_with_an_error(
    shell: Shell, workspace: Workspace, soql: str, words: tuple[str, ...]
) -> None:
    (workspace.folder / "contact.soql").write_text(soql)
    workspace.catalogue({"Contact": {"soql": "contact.soql"}, "Account": None})
    refused(shell("refresh", env=workspace.env), *words)
    assert workspace.rows("SELECT count(*) > 0 FROM silver.account") == [(True,)]


def test_a_catalogue_with_an_error_names_the_line(shell: Shell, workspace: Workspace) -> None:
    path = workspace.folder / "catalog.yaml"
    path.write_text("start: 2026-01-01\nobjects:\n  Account:\n    grain: hourly\n")
    refused(shell("refresh", env=workspace.env), "catalog.yaml:4", "daily")


def test_a_folder_that_cannot_be_written(shell: Shell, workspace: Workspace) -> None:
    workspace.catalogue({"Account": None})
    (workspace.folder / "file").write_text("in the way")
    env = workspace.env | {"SF_ASSETS_STORAGE_URL": f"file://{workspace.folder}/file/raw"}
    refused(shell("refresh", env=env), "storage", "SF_ASSETS_STORAGE_URL")
    env = workspace.env | {"SF_ASSETS_WAREHOUSE_URL": f"duckdb:///{workspace.folder}/file/w.duckdb"}
    refused(shell("refresh", env=env), "warehouse", "SF_ASSETS_WAREHOUSE_URL")


@pytest.mark.slow
def test_storage_and_warehouse_of_another_org_are_refused(
    shell: Shell, workspace: Workspace
) -> None:
    workspace.catalogue({"Product2": None})
    assert shell("refresh", env=workspace.env).code == 0
    before = workspace.rows("SELECT count(*) FROM silver.product2")
    with Emulator(scale=0.02, seed=8, settings=FAST) as other:
        other_env = workspace.env | other.environment
        refused(shell("refresh", env=other_env), "holds the data of org", "SF_ASSETS_STORAGE_URL")
        elsewhere = other_env | {"SF_ASSETS_STORAGE_URL": f"file://{workspace.folder}/other"}
        refused(shell("refresh", env=elsewhere), "holds the data of org", "SF_ASSETS_WAREHOUSE_URL")
    assert workspace.rows("SELECT count(*) FROM silver.product2") == before


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [True, False])
def test_a_held_warehouse_is_waited_for_once_in_a_run_and_caught_up_with(
    shell: Shell, workspace: Workspace, tmp_path: Path, *, read_only: bool
) -> None:
    workspace.catalogue({"Product2": None, "Campaign": None, "Lead": None, "Pricebook2": None})
    assert shell("refresh", "--object", "Campaign", env=workspace.env).code == 0
    holder = textwrap.dedent(
        f"""
        import duckdb, time
        held = duckdb.connect({str(tmp_path / "warehouse.duckdb")!r}, read_only={read_only})
        print("held", flush=True)
        time.sleep(600)
        """
    )
    process = subprocess.Popen(  # noqa: S603 (a program of this test)
        [sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        soon = "import sf_assets.warehouse.duckdb.database as d; d.PATIENCE = 1.0"
        began = time.monotonic()
        outcome = shell("refresh", env=workspace.env, first=soon)
        took = time.monotonic() - began
        refused(outcome, "held by another program", "PID", "raw is kept", "product2")
        said = outcome.out + outcome.err
        assert said.count("held by another program") == 1, said
        assert took < 30, said
        assert "ERROR" not in said
    finally:
        process.kill()
        process.communicate()
    time.sleep(0.1)
    assert shell("refresh", env=workspace.env).code == 0
    assert workspace.rows("SELECT count(*) > 0 FROM silver.product2") == [(True,)]


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("refresh",), {"DAGSTER_HOME": "/no/such/folder"}, ("DAGSTER_HOME", "unset it")),
        (
            ("refresh",),
            {"SF_ASSETS_WAREHOUSE_URL": "mysql://h/db"},
            ("SF_ASSETS_WAREHOUSE_URL", "duckdb:///"),
        ),
        (
            ("refresh",),
            {"SF_ASSETS_WAREHOUSE_URL": "duckdb:///:memory:"},
            ("SF_ASSETS_WAREHOUSE_URL", "has to be a file", "duckdb:////path"),
        ),
        (("refresh",), {"SF_ASSETS_STORAGE_URL": "/raw"}, ("SF_ASSETS_STORAGE_URL", "file:///")),
        (("refresh",), {"SALESFORCE_API_VERSION": "99.0"}, ("SALESFORCE_API_VERSION", "66.0")),
        (
            ("catalog", "--from-org"),
            {"SF_ASSETS_CATALOG": "/dev/null/catalog.yaml"},
            ("cannot be written", "SF_ASSETS_CATALOG"),
        ),
        (
            ("backfill", "--from", "2020-01-01", "--to", "2020-01-02"),
            {},
            ("begin on 2026-01-01", "range"),
        ),
        (("emulator", "--env-file", "/dev/null/env", "--scale", "0.01"), {}, ("cannot write",)),
    ],
)
def test_a_setting_that_cannot_be_used(
    shell: Shell,
    workspace: Workspace,
    arguments: tuple[str, ...],
    settings: dict[str, str],
    words: tuple[str, ...],
) -> None:
    workspace.catalogue({"Product2": None})
    refused(shell(*arguments, env=workspace.env | settings), *words)


def test_a_gold_file_that_names_no_column(shell: Shell, workspace: Workspace) -> None:
    (workspace.folder / "gold").mkdir()
    (workspace.folder / "gold" / "wrong.sql").write_text("SELECT Nope FROM silver.product2")
    workspace.catalogue({"Product2": None}, gold="gold")
    outcome = shell("refresh", env=workspace.env)
    refused(outcome, "gold__wrong: ", "wrong.sql", "Nope")
    assert "WarehouseError" not in outcome.out + outcome.err


def test_a_gold_file_that_cannot_be_used_keeps_no_other(shell: Shell, workspace: Workspace) -> None:
    gold = workspace.folder / "gold"
    gold.mkdir()
    (gold / "good.sql").write_text("SELECT count(*) AS n FROM silver.product2")
    (gold / "broken.sql").write_text("SELEC nonsense")
    (gold / "on_top.sql").write_text("SELECT * FROM gold.broken")
    (gold / "higher.sql").write_text("SELECT * FROM gold.on_top")
    (gold / "elsewhere.sql").write_text("SELECT * FROM silver.nobody")
    (gold / "round.sql").write_text("SELECT * FROM gold.trip")
    (gold / "trip.sql").write_text("SELECT * FROM gold.round")
    workspace.catalogue({"Product2": None}, gold="gold")

    outcome = shell("refresh", "--json", env=workspace.env)

    assert outcome.code == 1
    lost = {"broken", "on_top", "higher", "elsewhere", "round", "trip"}
    assert {f"gold__{name}" for name in lost} == set(outcome.document["errors"])
    assert "broken.sql: " in outcome.document["errors"]["gold__broken"]
    assert workspace.rows("SELECT n > 0 FROM gold.good") == [(True,)]
    status = shell("status", "--json", env=workspace.env)
    (org,) = status.document["orgs"]
    assert len(org["objects"]) == 1
    assert {t["name"]: t["state"] for t in org["gold"]} == {"good": "built"} | dict.fromkeys(
        lost, "refused"
    )


def test_a_gold_file_that_reads_one_that_is_not_there(shell: Shell, workspace: Workspace) -> None:
    (workspace.folder / "gold").mkdir()
    (workspace.folder / "gold" / "top.sql").write_text("SELECT * FROM gold.base")
    workspace.catalogue({"Product2": None}, gold="gold")
    refused(shell("refresh", env=workspace.env), "top.sql reads gold.base, of which there is no fi")


def file_limit(size: int) -> str:
    """Python that lets no file grow beyond a size, as a full disk would."""
    return (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    )


def test_a_disk_that_fills_while_raw_is_written(
    shell: Shell, workspace: Workspace, tmp_path: Path
) -> None:
    workspace.catalogue({"Contact": None})
    outcome = shell("refresh", env=workspace.env, first=file_limit(9_000))
    refused(outcome, "the storage", "space")
    assert not list((tmp_path / "raw").rglob("manifests/contact/*.json"))
    assert shell("refresh", env=workspace.env).code == 0
    assert workspace.rows("SELECT count(*) > 0 FROM silver.contact") == [(True,)]


@pytest.mark.slow
def test_a_disk_that_fills_while_silver_is_merged(shell: Shell, workspace: Workspace) -> None:
    workspace.catalogue({"Product2": None, "Contact": None})
    assert shell("refresh", "--object", "Product2", env=workspace.env).code == 0
    before = workspace.rows("FROM silver.product2")
    outcome = shell("refresh", "--object", "Contact", env=workspace.env, first=file_limit(40_000))
    refused(outcome, "the warehouse", "tables are as they were")
    assert workspace.rows("FROM silver.product2") == before
    assert shell("refresh", env=workspace.env).code == 0
    assert workspace.rows("SELECT count(*) > 0 FROM silver.contact") == [(True,)]


def test_a_gold_file_without_the_schema_of_what_it_reads(
    shell: Shell, workspace: Workspace
) -> None:
    (workspace.folder / "gold").mkdir()
    (workspace.folder / "gold" / "wrong.sql").write_text("SELECT Name FROM product2")
    workspace.catalogue({"Product2": None}, gold="gold")
    outcome = shell("refresh", env=workspace.env)
    refused(outcome, "wrong.sql", "; write `silver.product2`")
    assert "load what it reads" not in outcome.out + outcome.err


def test_a_day_that_no_calendar_has(shell: Shell, workspace: Workspace) -> None:
    done = shell("backfill", "--from", "2026-11-31", "--to", "2026-12-01", env=workspace.env)
    assert done.code == 2
    assert "there is no day 2026-11-31" in done.err


def test_the_doctor_says_which_gold_tables_are_left_out(shell: Shell, workspace: Workspace) -> None:
    workspace.catalogue({"Product2": None})
    done = shell("doctor", "--json", env=workspace.env)
    (gold,) = (one for one in done.document["diagnoses"] if one["what"] == "gold")
    assert gold["ok"]
    assert gold["detail"].startswith("0 of 6 tables in ")
    assert "left out, " in gold["detail"]
    assert "account_activity, case_resolution" in gold["detail"]


def test_the_doctor_examines_the_rest_where_there_is_no_catalogue_yet(
    shell: Shell, workspace: Workspace
) -> None:
    (workspace.folder / "catalog.yaml").unlink(missing_ok=True)
    done = shell("doctor", "--json", env=workspace.env)
    said = {one["what"]: one for one in done.document["diagnoses"]}
    assert done.code == 1
    assert said["catalogue"]["detail"].startswith("there is no catalogue ")
    assert said["catalogue"]["detail"].count("sf-assets catalog --from-org") == 1
    assert {what: one["ok"] for what, one in said.items()} == {
        "catalogue": False,
        "login": True,
        "API budget": True,
        "storage": True,
        "warehouse": True,
    }
