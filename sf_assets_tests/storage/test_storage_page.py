"""What docs/storage.md shows, run as it stands there where an engine is to be had."""

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import sqlglot
from dagster_aws.secretsmanager import SecretsManagerResource

from sf_assets.emulator.server import Emulator
from sf_assets.storage.store import Store
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.object_stores import Bucket, Moto

PAGE = (Path(__file__).parents[2] / "docs" / "storage.md").read_text(encoding="utf-8")
ORG = "00D000000000001AAA"


def code(after: str, language: str) -> list[str]:
    """The code of the section that begins so."""
    section = PAGE.partition(after)[2].partition("\n### ")[0].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def lake(workspace: Workspace) -> Workspace:
    """A folder that a tick has filled."""
    workspace.catalogue({"Account": None})
    workspace.tick()
    return workspace


def test_duckdb_reads_versions_and_the_newest_of_each_record(lake: Workspace) -> None:
    (statements,) = code("### DuckDB", "sql")
    org_id = lake.org().stored_raw.org_id
    text = statements.replace("/data/lake", f"{lake.folder}/raw").replace(ORG, org_id)
    with duckdb.connect() as connection:
        days, _, newest = [
            connection.execute(statement).fetchall() for statement in text.split(";\n")[:3]
        ]
    silver = lake.rows("SELECT Id, Name, date_trunc('second', SystemModstamp) FROM silver.account")
    assert [row[:2] for row in newest] == sorted(row[:2] for row in silver)
    recent = [row for row in silver if row[2].year == 2026]
    assert sum(count for _, count in days) == len(recent)


def test_polars_and_arrow_read_a_bucket(lake: Workspace, s3: Bucket) -> None:
    org_id, store = lake.org().stored_raw.org_id, s3.store()
    local = Store(lake.env["SF_ASSETS_STORAGE_URL"])
    for entry in local.list(f"{org_id}/raw"):
        store.put(entry.path, local.get(entry.path))
    told: dict[str, Any] = {}
    for program in code("### Polars and Arrow", "python"):
        text = program.replace("s3://bucket/lake", s3.url).replace(ORG, org_id)
        exec(text, told)  # noqa: S102 (what the page says)
    silver = lake.rows("SELECT Id FROM silver.account WHERE SystemModstamp >= '2026-01-01'")
    assert set(told["newest"]["Id"]) == {key for (key,) in silver}
    assert set(pl.DataFrame(told["recent"])["Id"]) == {key for (key,) in silver}


@pytest.mark.parametrize(
    ("section", "number", "dialect"),
    [
        ("### Spark", 0, "spark"),
        ("### Athena", 0, "athena"),
        ("### Athena", 1, "trino"),
        ("### Athena", 2, "bigquery"),
    ],
)
def test_what_was_not_run_can_be_parsed(section: str, number: int, dialect: str) -> None:
    statements = sqlglot.parse(code(section, "sql")[number], dialect=dialect)
    assert all(statements)


def test_salesforce_is_entered_with_what_is_in_secrets_manager(
    moto: Moto, s3: Bucket, living_org: Emulator
) -> None:
    env = living_org.environment
    secrets = SecretsManagerResource(endpoint_url=moto.s3, region_name="us-east-1")
    document = {
        "client_id": env["SALESFORCE_CLIENT_ID"],
        "client_secret": env["SALESFORCE_CLIENT_SECRET"],
    }
    assert s3.server == moto.s3
    client = secrets.get_client()
    client.create_secret(Name="salesforce", SecretString=json.dumps(document))
    _, program = code("## Credentials", "python")
    told: dict[str, Any] = {}
    exec(program, told)  # noqa: S102 (what the page says)
    resource = told["SalesforceOfSecret"](
        login_url=env["SALESFORCE_LOGIN_URL"], secrets=secrets, secret_id="salesforce"
    )
    assert resource.client.org_id
    client.close()
