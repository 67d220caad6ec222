"""Spelling of values in SQL."""

import math
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.emulator.text_sql import java_double


def reference(value: float) -> str:
    """Java's `Double.toString`, digit by digit."""
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    assert isinstance(exponent, int)
    point = len(text) + exponent
    if -3 < point <= 7:
        if point <= 0:
            text = f"0.{'0' * -point}{text}"
        else:
            text = f"{text[:point].ljust(point, '0')}.{text[point:] or '0'}"
    else:
        text = f"{text[0]}.{text[1:] or '0'}E{point - 1}"
    return "-" * sign + text


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def spelled(database: duckdb.DuckDBPyConnection, values: list[float]) -> list[str]:
    sql = f"SELECT {java_double('v')} FROM (SELECT unnest($values::DOUBLE[]) AS v)"
    return [row[0] for row in database.execute(sql, {"values": values}).fetchall()]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (100.0, "100.0"),
        (0.001, "0.001"),
        (0.00012345, "1.2345E-4"),
        (9.9e-5, "9.9E-5"),
        (1e-7, "1.0E-7"),
        (9999999.9, "9999999.9"),
        (1e7, "1.0E7"),
        (912260031.0, "9.12260031E8"),
        (-912260031.5, "-9.122600315E8"),
        (1e16, "1.0E16"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (5e-324, "5.0E-324"),
    ],
)
def test_known_spellings(database: duckdb.DuckDBPyConnection, value: float, text: str) -> None:
    assert spelled(database, [value]) == [text]


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=50))
def test_any_double(database: duckdb.DuckDBPyConnection, values: list[float]) -> None:
    texts = spelled(database, values)
    assert [float(text) for text in texts] == values
    assert texts == [reference(value) for value in values]


def test_null_stays_null(database: duckdb.DuckDBPyConnection) -> None:
    sql = f"SELECT {java_double('v')} FROM (SELECT NULL::DOUBLE AS v)"
    assert database.execute(sql).fetchall() == [(None,)]
