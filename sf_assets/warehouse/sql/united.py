"""The same object of all orgs as one view: `silver_all.<object>`, and `_live` beside it.

What it is made of is what `ops` notes of the tables, so that it is cheap to see whether a view is
as the tables are. A view that stands in the way of a change of a table is dropped with it, and made
anew by the next look.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from sf_assets.columns.column import MOST_DIGITS
from sf_assets.naming import UNITED, Names, silver_name
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.sql.connection import Connection, changing_tables
from sf_assets.warehouse.sql.types import LIST, TEXT, TIMESTAMP, as_decimal, decimal

ORG = "_org"
"""Column of the name of the org; the first."""

VIEWS = ("", "_live")


def unite(connection: Connection, orgs: Sequence[str]) -> list[str]:
    """Have the views be as the tables are.

    Args:
        connection: Open for writing, outside a transaction.
        orgs: Names of the orgs.

    Returns:
        Views that were made, changed or dropped.
    """
    if is_current(connection, orgs):
        return []
    with changing_tables(connection):
        # One at a time, where two orgs are written side by side.
        connection.execute("UPDATE ops.schema_version SET version = version")
        wanted, noted = _wanted(connection, orgs), _noted(connection)
        marks = _marks(wanted)
        changed = sorted(view for view in wanted | noted if marks.get(view) != noted.get(view))
        for view in changed or sorted(wanted):  # or somebody has dropped or changed some
            if view in wanted:
                _make(connection, view, wanted[view])
            else:
                drop(connection, [view])
    return changed or sorted(wanted)


def is_current(connection: Connection, orgs: Sequence[str]) -> bool:
    """Whether the views are as the tables are; asked outside a transaction."""
    return _are_there(connection, _wanted(connection, orgs))


def drop(connection: Connection, views: Iterable[str]) -> None:
    """Drop views, inside a transaction, where there are any."""
    for view in views:
        values = [view]
        if connection.execute("SELECT 1 FROM ops.united WHERE relation = ?", values):
            connection.execute("DELETE FROM ops.united WHERE relation = ?", values)
            connection.execute(f"DROP VIEW IF EXISTS {quoted(UNITED, view)}")


def _make(connection: Connection, view: str, definition: str) -> None:
    run, name = connection.execute, quoted(UNITED, view)
    run("DELETE FROM ops.united WHERE relation = ?", [view])
    run(f"CREATE SCHEMA IF NOT EXISTS {quoted(UNITED)}")
    if connection.capabilities.ddl_in_transaction:  # some replace none that has other columns
        run(f"DROP VIEW IF EXISTS {name}")
        run(f"CREATE VIEW {name} AS {definition}")
    else:
        run(f"CREATE OR REPLACE VIEW {name} AS {definition}")
    (mark,) = _marks({view: definition}).values()
    run("INSERT INTO ops.united (relation, definition) VALUES (?, ?)", [view, mark])


def _marks(definitions: Mapping[str, str]) -> dict[str, str]:
    """By what definitions are told from others: a text of some engines has no room for all of one.

    Args:
        definitions: By the views' names, as is what is returned.
    """
    return {view: sha256(text.encode()).hexdigest() for view, text in definitions.items()}


def _noted(connection: Connection) -> dict[str, str]:
    """What is noted of the views, by name."""
    return dict(connection.execute("SELECT relation, definition FROM ops.united"))


def _are_there(connection: Connection, wanted: Mapping[str, str]) -> bool:
    """Whether the views are as they should be; asked by one query that names them all."""
    if _noted(connection) != _marks(wanted):
        return False
    every = (f"(SELECT 1 FROM {quoted(UNITED, view)} LIMIT 0)" for view in sorted(wanted))
    try:
        connection.shape(" UNION ALL ".join(every) or "SELECT 1")
    except connection.error:
        return False
    return True


def _wanted(connection: Connection, orgs: Sequence[str]) -> dict[str, str]:
    """Definitions of the views, by name."""
    tables: dict[str, dict[str, Names[str]]] = {}
    rows = connection.execute(
        "SELECT o.name, t.object, t.columns FROM ops.tables t JOIN ops.orgs o "
        "ON o.org_id = t.org_id ORDER BY t.object, o.name"
    )
    for org, slug, columns in rows:
        if org in orgs and "." not in slug:
            spelt = (column.partition(" ") for column in columns or ())
            tables.setdefault(slug, {})[org] = Names((name, kind) for name, _, kind in spelt)
    return {
        f"{slug}{view}": _union(f"{slug}{view}", columns)
        for slug, columns in tables.items()
        for view in VIEWS
    }


def _union(relation: str, columns: Mapping[str, Names[str]]) -> str:
    """The query of a view, of the columns that each org has there."""
    names = Names((name, "") for types in reversed([*columns.values()]) for name in types)
    first = [name for types in columns.values() for name in types]
    ordered = sorted(names, key=lambda n: (n.startswith("_"), first.index(n)))
    kinds = {n: common([t[n] for t in columns.values() if n in t]) for n in ordered}
    return " UNION ALL ".join(
        f"SELECT CAST({text_literal(org)} AS {TEXT}) AS {quoted(ORG)}, "
        + ", ".join(f"{_told(n, types.get(n), kinds[n])} AS {quoted(n)}" for n in ordered)
        + f" FROM {quoted(silver_name(org), relation)}"
        for org, types in columns.items()
    )


def common(kinds: Sequence[str]) -> str:
    """The type that holds all values of some types: text, where there is no other."""
    if len(set(kinds)) == 1:
        return kinds[0]
    numbers = [as_decimal(kind) for kind in kinds]
    if None not in numbers:
        integers, scale = (max(room) for room in zip(*filter(None, numbers), strict=True))
        if integers + scale <= MOST_DIGITS:
            return decimal(integers, scale)
    return TEXT


def _told(name: str, kind: str | None, wanted: str) -> str:
    """A column as a view tells it."""
    column = quoted(name)
    if kind is None:
        return f"CAST(NULL AS {wanted})"
    if kind == wanted:
        return column
    if kind == LIST:
        return f"array_to_string({column}, ';')"
    if kind == TIMESTAMP and wanted == TEXT:
        # Not by the time zone of whoever reads.
        return f"CAST(CAST({column} AT TIME ZONE 'UTC' AS TIMESTAMP) AS {TEXT}) || '+00'"
    return f"CAST({column} AS {wanted})"
