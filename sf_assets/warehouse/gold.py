"""Gold: business tables in plain SQL files, which say by what they read what they depend on."""

from dataclasses import dataclass
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from sf_assets.errors import ConfigError

DAY = "day"
"""Column that a table built day by day is partitioned by; the SQL has the parameter `$day`."""

_SUFFIXES = ("_live", "_rejects", "_history")


@dataclass(frozen=True, slots=True)
class GoldTable:
    """One gold table.

    Attributes:
        name: The file's name without `.sql`; the table is `gold.<name>`.
        path: The file.
        description: The comment that the file begins with.
        sql: The query.
        daily: Whether it is built a day at a time.
        silver: Objects whose silver tables it reads, by lower-cased name.
        raw: Objects of which it reads all versions that raw holds.
        gold: Other gold tables that it reads.
    """

    name: str
    path: Path
    description: str
    sql: str
    daily: bool
    silver: frozenset[str]
    raw: frozenset[str]
    gold: frozenset[str]

    def rendered(self, silver: str, gold: str) -> str:
        """The query as it is run: on live rows, in the org's own schemas."""
        tree = sqlglot.parse_one(self.sql, dialect="duckdb")
        for table in tree.find_all(exp.Table):
            if table.db == "silver":
                live = table.name if table.name.endswith(_SUFFIXES) else f"{table.name}_live"
                table.set("this", exp.to_identifier(live.lower()))
                table.set("db", exp.to_identifier(silver))
            elif table.db == "gold":
                table.set("db", exp.to_identifier(gold))
            elif table.db == "raw":
                table.set("this", exp.to_identifier(raw_relation(table.name)))
                table.set("db", exp.to_identifier("temp"))
        return tree.sql(dialect="duckdb")

    def columns_used(self) -> frozenset[str]:
        """Lower-cased names of all columns that the query names anywhere."""
        tree = sqlglot.parse_one(self.sql, dialect="duckdb")
        return frozenset(column.name.lower() for column in tree.find_all(exp.Column))


def raw_relation(slug: str) -> str:
    """Name of the temporary table that holds all versions of an object while gold is built."""
    return f"raw_{slug.lower()}"


def read_gold(folder: Path) -> list[GoldTable]:
    """All gold tables of a folder, each after those that it reads.

    Raises:
        ConfigError: A file is not one query, or tables read each other in a circle.
    """
    tables = {path.stem.lower(): _read(path) for path in sorted(folder.glob("*.sql"))}
    ordered: list[GoldTable] = []
    while rest := [t for t in tables.values() if t not in ordered]:
        done = {table.name for table in ordered}
        ready = [t for t in rest if t.gold & tables.keys() <= done]
        if not ready:
            names = ", ".join(table.path.name for table in rest)
            raise ConfigError(f"{folder}: these gold tables read each other in a circle: {names}")
        ordered += ready
    return ordered


def _read(path: Path) -> GoldTable:
    text = path.read_text(encoding="utf-8")
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect="duckdb") if tree]
    except (ParseError, TokenError) as error:
        brief = str(error).partition("\n")[0]
        raise ConfigError(f"{path}: not SQL that DuckDB knows: {brief}") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise ConfigError(f"{path}: a gold file holds one SELECT and nothing else")
    reads: dict[str, set[str]] = {"silver": set(), "raw": set(), "gold": set()}
    for table in trees[0].find_all(exp.Table):
        if table.db in reads:
            reads[table.db].add(
                _object(table.name.lower()) if table.db == "silver" else table.name.lower()
            )
    return GoldTable(
        name=path.stem.lower(),
        path=path,
        description=_description(text),
        sql=text,
        daily=any(p.name == DAY for p in trees[0].find_all(exp.Parameter, exp.Placeholder)),
        silver=frozenset(reads["silver"]),
        raw=frozenset(reads["raw"]),
        gold=frozenset(reads["gold"]),
    )


def _object(table: str) -> str:
    """The object of a silver table or view."""
    for suffix in _SUFFIXES:
        table = table.removesuffix(suffix)
    return table


def _description(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return "\n".join(lines).strip()
