"""No engine error is told with a record's value; what helps is told."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from sf_assets.errors import WarehouseError
from sf_assets.warehouse.duckdb.connection import known_names
from sf_assets.warehouse.duckdb.database import Database
from sf_assets.warehouse.duckdb.refusals import refusal

SECRET = "Zoë's account, zoe@secret.example"
NUMBER = "987654321987654321987654321987654321"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE account (Id VARCHAR PRIMARY KEY, Name VARCHAR, Amount DECIMAL(38, 2))"
        )
        connection.execute("INSERT INTO account VALUES (?, ?, ?)", [SECRET, SECRET, NUMBER])
        yield connection


@pytest.mark.parametrize(
    "query",
    [
        "SELECT Name::INT FROM account",
        "SELECT Name::DATE FROM account",
        "SELECT Name::UUID FROM account",
        "SELECT strptime(Name, '%Y') FROM account",
        "SELECT json_extract(Name, '$.a') FROM account",
        "SELECT regexp_matches('a', Name || '(') FROM account",
        "SELECT error(Name) FROM account",
        "SELECT Amount * 99999 FROM account",
        "SELECT sum(Amount * 99) FROM account",
        "SELECT Amount::DOUBLE::DECIMAL(18, 2) FROM account",
        "SELECT Amount::INT FROM account",
        "INSERT INTO account SELECT * FROM account",
        "ALTER TABLE account ALTER COLUMN Name TYPE INT",
        "PIVOT account ON Name USING sum(Amount) GROUP BY Zzz",
    ],
)
def test_a_refusal_never_holds_a_value(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(duckdb.Error) as refused:
        connection.execute(query).fetchall()

    told = refusal(refused.value, query, known_names(connection))

    assert "secret" not in told
    assert "98765" not in told
    assert "\n" not in told


def test_libraries_and_the_system_are_told_without_a_value() -> None:
    with pytest.raises(pl.exceptions.PolarsError) as refused:
        pl.Series([SECRET]).cast(pl.Int64)

    assert "secret" not in refusal(refused.value)
    assert "secret" not in refusal(KeyError(SECRET))
    assert refusal(PermissionError(13, "Permission denied", "/a/b")) == "Permission denied: /a/b"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT Nam FROM account", 'Candidate bindings: "Name"'),
        ("SELECT * FROM acount", 'Did you mean "account"?'),
        ("SELECT flor(Amount) FROM account", 'Did you mean "floor"?'),
        ("SELCT 1", 'syntax error at or near "SELCT"'),
        ("SELECT Name::INT FROM account", "column name, INT32"),
    ],
)
def test_what_helps_the_writer_of_a_query_is_told(
    connection: duckdb.DuckDBPyConnection, query: str, says: str
) -> None:
    with pytest.raises(duckdb.Error) as refused:
        connection.execute(query).fetchall()

    assert says in refusal(refused.value, query, known_names(connection))


def test_only_a_full_disk_is_told_as_one() -> None:
    full = duckdb.IOException("Could not write all bytes to file: No space left on device")

    assert "no space left" in refusal(full)
    assert "space" not in refusal(duckdb.ConversionException("Could not convert string 'a'"))


def test_the_error_of_a_warehouse_drags_no_engine_error_along(tmp_path: Path) -> None:
    warehouse = Database(f"duckdb:///{tmp_path}/sf.duckdb")
    with pytest.raises(WarehouseError) as refused, warehouse.connect() as connection:
        connection.execute("SELECT ?::INT", [SECRET])

    assert "a value cannot be converted" in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
