"""Gold: business tables in plain SQL files, which say by what they read what they depend on."""

import codecs
import re
from collections.abc import Collection, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.sql import text_literal
from sf_assets.warehouse.engines import ENGINES
from sf_assets.warehouse.gold_names import names, reads_unnamed, words
from sf_assets.warehouse.unwatched import unwatched

DAY = "day"
"""Column that a table built day by day is partitioned by; the SQL has the parameter `$day`."""

CURRENCY = "CurrencyIsoCode"
"""Column that only orgs with several currencies have; in others a query reads NULL."""

NATIVE = "sf_assets_native"
"""As a table function: a query in the engine's own SQL, which is its argument."""

_LAYERS = frozenset({"silver", "raw", "gold"})
_HISTORY = "_history"
_SUFFIXES = ("_live", "_rejects", _HISTORY)
_NAME = re.compile(r"[a-z0-9_]+")
_HIDING = frozenset({"query", "query_table"})
_NOTES = frozenset({".md"})
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


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
        histories: Those of its objects of which it reads the history.
        unwatched: What else it reads, of whose changes nothing tells: files, tables of other
            schemas, the clock.
        dialect: Whose SQL the query is in.
    """

    name: str
    path: Path
    description: str
    sql: str
    daily: bool
    silver: frozenset[str]
    raw: frozenset[str]
    gold: frozenset[str]
    histories: frozenset[str]
    unwatched: tuple[str, ...]
    dialect: str = "duckdb"

    @property
    def sql_hash(self) -> str:
        """By what the text of its file is told from another."""
        return sha256(self.sql.encode()).hexdigest()[:16]

    @property
    def query(self) -> exp.Query:
        """Its query, not to be changed."""
        return _query(self.sql, self.dialect)

    @property
    def is_native(self) -> bool:
        """Whether it is in the SQL of an engine that is not DuckDB."""
        return self.dialect != "duckdb"

    def rendered(self, silver: str, gold: str, lacking: Collection[str] = ()) -> str:
        """The query as the shared SQL has it: on live rows, in the org's own schemas.

        Arguments are those of `resolved`.
        """
        text = self.resolved(silver, gold, lacking).sql(dialect=self.dialect, comments=False)
        return f"SELECT * FROM {NATIVE}({text_literal(text)})" if self.is_native else text

    def resolved(self, silver: str, gold: str, lacking: Collection[str] = ()) -> exp.Query:
        """The query with the relations that are read for what it names.

        Args:
            silver: Schema of the org's silver tables.
            gold: Schema of its gold tables.
            lacking: Tables and views of silver, and tables of raw's versions, that have no column
                for the currency.
        """
        tree = self.query.copy()
        homes = {"silver": silver, "raw": "temp", "gold": gold}
        needs_currency = CURRENCY.lower() in names(tree)
        for column in tree.find_all(exp.Column):
            if column.db.lower() in _LAYERS:  # `silver.account.Name` is `account.Name` from here on
                column.set("db", None)
        for table in list(tree.find_all(exp.Table)):
            layer = table.db.lower()
            if layer not in _LAYERS:
                continue
            relation = self._relation(layer, table.name.lower())
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
            table.set("this", exp.to_identifier(relation, quoted=True))
            table.set("db", exp.to_identifier(homes[layer], quoted=True))
            if needs_currency and relation in lacking:
                table.replace(_with_currency(table))
        return tree

    def _relation(self, layer: str, name: str) -> str:
        """The table or view that is read for what a query names."""
        if layer == "silver" and name in self.silver:
            return f"{name}_live"
        return raw_relation(name) if layer == "raw" else name

    def columns_used(self) -> frozenset[str] | None:
        """Lower-cased names of all columns that it may read of raw; others may be among them.

        None where it reads columns that it does not name, as `SELECT *` does.
        """
        return None if reads_unnamed(self.query, "raw") else words(self.sql, self.dialect)


def _with_currency(table: exp.Table) -> exp.Expression:
    """The table with a column for the currency, which it has not."""
    alias = table.args["alias"].copy()
    bare = table.copy()
    bare.set("alias", None)
    empty = exp.cast(exp.null(), "varchar").as_(CURRENCY)
    return exp.Subquery(this=exp.select("*", empty).from_(bare), alias=alias)


def raw_relation(slug: str) -> str:
    """Name of the temporary table that holds all versions of an object while gold is built."""
    return f"raw_{slug.lower()}"


def is_table_name(name: str) -> bool:
    """Whether a gold table can be called so."""
    return _NAME.fullmatch(name) is not None


def read_gold(
    folder: Path,
    objects: Collection[str],
    refused: MutableMapping[str, SfAssetsError] | None = None,
    engine: str = "duckdb",
) -> list[GoldTable]:
    """All gold tables of a folder and those in it, each after those that it reads.

    Args:
        folder: The folder. What is in it is read or refused; hidden files and notes (`.md`) are
            left alone.
        objects: Lower-cased names of the catalogue's objects, which tell `silver.invoice__history`,
            an object's table, from `silver.account_history`, a view of another's.
        refused: Gets, by the name of its table, or its own where there is another file of that
            table, why a file cannot be used; None to raise that.
        engine: The engine they are for: `name.<engine>.sql` is taken instead of `name.sql`.

    Raises:
        ConfigError: A file is not one query, or not called like a table, or tables read each other
            in a circle.
    """
    tables, wrong = _files(folder, objects, engine)
    for path, name, error in wrong:
        _refuse(path.name.lower() if name in tables else name, error, refused)
    ordered: list[GoldTable] = []
    while rest := [t for t in tables.values() if t not in ordered]:
        done = {table.name for table in ordered}
        ready = [t for t in rest if t.gold & tables.keys() <= done]
        if not ready:
            names = ", ".join(table.path.name for table in rest)
            circle = f"{folder}: these gold tables read each other in a circle: {names}"
            for table in rest:
                _refuse(table.name, ConfigError(circle), refused)
            break
        ordered += ready
    return ordered


def _files(
    folder: Path, objects: Collection[str], engine: str
) -> tuple[dict[str, GoldTable], list[tuple[Path, str, ConfigError]]]:
    """The tables of a folder by name, and files that are none, with the name they would have."""
    tables: dict[str, GoldTable] = {}
    variants: dict[str, GoldTable] = {}
    wrong: list[tuple[Path, str, ConfigError]] = []
    unclear: set[str] = set()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.is_dir() or path.suffix.lower() in _NOTES:
            continue
        of, name = _engine(path), path.stem.lower().partition(".")[0]
        if of in ENGINES and of != engine:
            continue
        try:
            table = _read(path, objects, of)
        except ConfigError as error:
            wrong.append((path, name, error))
            if of == engine:
                unclear.add(name)
            continue
        earlier = (variants if of else tables).setdefault(name, table).path
        if earlier != path:
            both = f"{path} and {earlier} are both gold.{name}; rename one"
            wrong.append((path, name, ConfigError(both)))
            unclear.add(name)  # nobody can tell which of them is meant
    return {n: t for n, t in (tables | variants).items() if n not in unclear}, wrong


def _refuse(
    name: str, error: ConfigError, refused: MutableMapping[str, SfAssetsError] | None
) -> None:
    if refused is None:
        raise error
    refused.setdefault(name, error)


def _engine(path: Path) -> str:
    """What stands between a file's name and `.sql`, such as an engine; empty for most."""
    return path.stem.lower().partition(".")[2] if path.suffix.lower() == ".sql" else ""


def _read(path: Path, objects: Collection[str], engine: str) -> GoldTable:
    """Read a file.

    Args:
        path: The file.
        objects: As of `read_gold`.
        engine: What is said of its engine.

    Raises:
        ConfigError: It is no gold table.
    """
    if engine and engine not in ENGINES:
        raise ConfigError(
            f"{path}: {engine} is no engine; a variant of a gold table is called like "
            f"{path.stem.partition('.')[0]}.ENGINE.sql, with one of {', '.join(ENGINES)}"
        )
    name, dialect = path.stem.lower().partition(".")[0], engine or "duckdb"
    if path.suffix.lower() != ".sql" or not is_table_name(name):
        raise ConfigError(
            f"{path}: a gold file is called like its table, of letters, digits and _, and ends in "
            ".sql; rename it, or take it out of the gold folder"
        )
    text = _text(path)
    try:
        query = _query(text, dialect)
    except (ParseError, TokenError, RecursionError) as error:
        brief = str(error).partition("\n")[0]
        raise ConfigError(f"{path}: not SQL that {ENGINES[dialect]} knows: {brief}") from None
    except ValueError:
        raise ConfigError(f"{path}: a gold file holds one SELECT and nothing else") from None
    if hiding := _hiding(query):
        raise ConfigError(
            f"{path}: {hiding}() hides which tables are read, so nothing would tell when the table "
            "is due; name them in the query"
        )
    parameters = {p.name for p in query.find_all(exp.Parameter, exp.Placeholder)}
    if dialect == "duckdb" and (unknown := sorted(parameters - {DAY})):
        told = ", ".join(name if name == "?" else f"${name}" for name in unknown)
        raise ConfigError(f"{path}: nothing gives a value to {told}; the one parameter is ${DAY}")
    named: dict[str, set[str]] = {layer: set() for layer in _LAYERS}
    for table in query.find_all(exp.Table):
        if (layer := table.db.lower()) in _LAYERS:
            named[layer].add(table.name.lower())
    silver = {table: _object(table, objects) for table in named["silver"]}
    return GoldTable(
        name=name,
        path=path,
        description=_description(text),
        sql=text,
        daily=DAY in parameters,
        silver=frozenset(silver.values()),
        raw=frozenset(named["raw"]),
        gold=frozenset(named["gold"]),
        histories=frozenset(o for table, o in silver.items() if table == f"{o}{_HISTORY}"),
        unwatched=_unwatched(text, dialect),
        dialect=dialect,
    )


@lru_cache(maxsize=256)
def _unwatched(text: str, dialect: str) -> tuple[str, ...]:
    return tuple(sorted(unwatched(_query(text, dialect), _LAYERS)))


def _hiding(query: exp.Query) -> str | None:
    """A function of a query that reads tables which it names as text."""
    names = (f.name.lower() for f in query.find_all(exp.Anonymous))
    return next((name for name in names if name in _HIDING), None)


def _text(path: Path) -> str:
    """What a file says, in UTF-8 or with the mark of another Unicode encoding."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
    encoding = next(
        (name for mark, name in _ENCODINGS.items() if content.startswith(mark)), "utf-8"
    )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte {content[error.start]:#04x} is not {encoding.upper()}; save the "
            "file as UTF-8"
        ) from None


@lru_cache(maxsize=256)
def _query(text: str, dialect: str) -> exp.Query:
    """The one query of a text, for all who ask; comments may come after its semicolon.

    Raises:
        ParseError: It is no SQL.
        TokenError: Likewise.
        ValueError: It is not one query.
    """
    trees = sqlglot.parse(text, dialect=dialect)
    statements = [tree for tree in trees if tree and not isinstance(tree, exp.Semicolon)]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ValueError(len(statements))
    return statements[0]


def _object(table: str, objects: Collection[str]) -> str:
    """The object of a silver table or view: of that name, or of the view's."""
    views = (table.removesuffix(suffix) for suffix in _SUFFIXES if table.endswith(suffix))
    return next((name for name in (table, *views) if name in objects), table)


def _description(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return "\n".join(lines).strip()
