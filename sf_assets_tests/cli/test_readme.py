"""README's four steps on an org of one's own, as they are printed there, far from this machine."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.warehouse.postgres.connection import PostgresConnection
from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import FAST
from sf_assets_tests.object_stores import Bucket
from sf_assets_tests.postgres import PostgresServer

README = Path(__file__).parents[2] / "README.md"

COUNTS = "SELECT count(*) FROM silver.account_live", "SELECT count(*) FROM gold.pipeline_by_account"


@pytest.fixture
def company() -> Iterator[Emulator]:
    with Emulator(scale=0.02, seed=3, settings=FAST) as org:
        yield org


def blocks() -> list[str]:
    """What "Your own org" has one type: the lines of `.env`, then a command for each step."""
    text = README.read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Your own org\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return [dedent(block) for block in re.findall(r" *```\n(.*?) *```", section, re.DOTALL)]


def follow(folder: Path, company: Emulator, shell: Shell, more: dict[str, str]) -> None:
    """Do what README says; what it leaves to the reader is filled in."""
    env, *commands = blocks()
    told = dict(line.split("=", 1) for line in env.splitlines())
    assert commands[0].split() == [".venv/bin/sf-assets", "catalog", "--from-org"]
    assert {name for name, value in told.items() if "…" in value or "example" in value} == {
        name for name in company.environment if name in told
    }
    values = told | dict(company.environment) | {"SF_ASSETS_LAG_SECONDS": "0"} | more
    lines = [f"{name}='{value}'" for name, value in values.items()]
    (folder / ".env").write_text("\n".join(lines), encoding="utf-8")
    for command in commands:
        program, *arguments = command.split()
        assert program == ".venv/bin/sf-assets"
        done = shell(*arguments)
        assert done.code == 0, done.err


def accounts(company: Emulator) -> int:
    ((count,),) = company.org.store.rows("SELECT count(*) FROM Account WHERE NOT IsDeleted")
    return int(count)


@pytest.mark.slow
def test_on_s3_and_postgres(
    tmp_path: Path, company: Emulator, shell: Shell, s3: Bucket, postgres_server: PostgresServer
) -> None:
    url = postgres_server.new()
    where = {"SF_ASSETS_STORAGE_URL": s3.url, "SF_ASSETS_WAREHOUSE_URL": url}
    follow(tmp_path, company, shell, {**s3.env, **where})
    with closing(PostgresConnection(url)) as warehouse:
        found = [warehouse.run(query)[0][0] for query in COUNTS]
    assert found[0] == accounts(company)
    assert found[1]
    assert not (tmp_path / ".sf_assets").exists()
