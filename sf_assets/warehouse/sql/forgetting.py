"""Records that are forgotten: out of all tables, and looked for in whatever the warehouse has."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.connection import Connection

_TEXT, _TEXTS = "VARCHAR", "VARCHAR[]"
_OF_AN_OBJECT = ("", "_rejects", "_versions")
"""How the tables of an object end that have its records' own rows."""

FORGOTTEN = "(forgotten)"
"""What notes say in the place of a record's Id."""


def forget(  # noqa: PLR0917 (all of it is about the same records)
    connection: Connection,
    org_id: str,
    homes: Sequence[str],
    slug: str,
    ids: Collection[str],
    derived: Mapping[str, Collection[str]],
) -> dict[str, int]:
    """Remove records, and what leads to them, in one transaction.

    Gold is noted as never built, so that all of it is built anew.

    Args:
        connection: Open for writing.
        org_id: Whose.
        homes: The schemas of silver's tables, and of the restricted ones.
        slug: Lower-cased object name.
        ids: Their Ids, as long and as short ones.
        derived: Columns, lower-cased, that are emptied where a row led to one of them, by object.

    Returns:
        How many rows were removed or emptied, by table.
    """
    found: dict[str, int] = {}
    with connection.transaction():
        for schema in homes:
            own = {f"{slug}{end}" for end in _OF_AN_OBJECT}
            types = connection.relations(schema)
            for table in sorted(connection.tables(schema)):
                name, listed = quoted(schema, table), _listed(ids)
                if table in own:
                    gone = connection.execute(f"DELETE FROM {name} WHERE Id IN ({listed})")
                    found[f"{schema}.{table}"] = gone[0][0]
                columns = [
                    c for c, kind in types[table].items() if kind == _TEXT and c.lower() != "id"
                ]
                follow = derived.get(table.removesuffix("_versions"), ())
                also = [column for column in types[table] if column.lower() in follow]
                emptied = _empty(connection, name, columns, also, listed)
                found[f"{schema}.{table}"] = found.get(f"{schema}.{table}", 0) + emptied
        for table in sorted(connection.tables("ops")):
            found[f"ops.{table}"] = _blot_out(connection, table, ids)
        for table in ("gold_builds", "gold_attempts"):
            connection.execute(f"DELETE FROM ops.{table} WHERE org_id = ?", [org_id])
        ops.note_leftovers(connection)
    return {table: rows for table, rows in found.items() if rows}


def ids_beginning(connection: Connection, homes: Sequence[str], prefix: str) -> Iterator[str]:
    """Short forms of the Ids in tables that begin with some letters, and what looks like one.

    Args:
        connection: Open.
        homes: The schemas of the tables.
        prefix: The letters.
    """
    for schema in homes:
        types = connection.relations(schema)
        for table in sorted(connection.tables(schema)):
            for column in (quoted(c) for c, kind in types[table].items() if kind == _TEXT):
                begins = f"substr({column}, 1, {len(prefix)}) = {text_literal(prefix)}"
                for (found,) in connection.execute(
                    f"SELECT DISTINCT substr({column}, 1, 15) FROM {quoted(schema, table)} "
                    f"WHERE length({column}) IN (15, 18) AND {begins}"
                ):
                    yield found


def forgotten(connection: Connection, org_id: str, slug: str) -> set[str]:
    """Digests of the Ids of records that tables have no more, as was noted."""
    noted = connection.execute(
        "SELECT digest FROM ops.forgotten WHERE org_id = ? AND object = ?", [org_id, slug]
    )
    return {digest for (digest,) in noted}


def note_forgotten(
    connection: Connection, org_id: str, slug: str, digests: AbstractSet[str]
) -> None:
    """Note that tables have no more of some records, by digests of their Ids."""
    new = sorted(digests - forgotten(connection, org_id, slug))
    if not new:
        return
    with connection.transaction():
        for digest in new:
            connection.execute(
                "INSERT INTO ops.forgotten (org_id, object, digest) VALUES (?, ?, ?)",
                [org_id, slug, digest],
            )


def search(connection: Connection, ids: Collection[str]) -> Iterator[tuple[str, int | None]]:
    """Look for texts in all tables there are, whosever they are.

    Yields:
        Each table in whose rows one is, and in how many; None where it cannot be read.
    """
    for schema, table in connection.everything():
        try:
            places = _texts(connection, schema, table)
            said = [f"strpos({place}, {text_literal(i)}) > 0" for place in places for i in ids]
            ((rows,),) = connection.execute(
                f"SELECT count(*) FROM {quoted(schema, table)} AS t "
                f"WHERE {' OR '.join(said) or 'false'}"
            )
        except connection.error:
            rows = None
        if rows != 0:
            yield f"{schema}.{table}", rows


def _texts(connection: Connection, schema: str, table: str) -> list[str]:
    """Where the texts of a row are: in all of it, or where it is no text, in some columns."""
    if connection.capabilities.row_as_text:
        return ["CAST(t AS VARCHAR)"]
    types = connection.types(schema, table)
    lists = [f"array_to_string({quoted(c)}, ',')" for c, kind in types.items() if kind == _TEXTS]
    texts = [quoted(c) for c, kind in types.items() if "CHAR" in kind and kind != _TEXTS]
    return texts + lists


def _empty(
    connection: Connection, table: str, columns: Sequence[str], also: Sequence[str], listed: str
) -> int:
    """Make null what is one of some texts, and other columns of those rows; in how many rows."""
    if not columns:
        return 0
    hit = {quoted(column): f"{quoted(column)} IN ({listed})" for column in columns}
    any_hit = " OR ".join(hit.values())
    ((rows,),) = connection.execute(f"SELECT count(*) FROM {table} WHERE {any_hit}")
    if rows:
        new = {c: f"CASE WHEN {test} THEN NULL ELSE {c} END" for c, test in hit.items()}
        new |= dict.fromkeys(map(quoted, also), "NULL")
        spelt = ", ".join(f"{column} = {value}" for column, value in new.items())
        connection.execute(f"UPDATE {table} SET {spelt} WHERE {any_hit}")
    return int(rows)


def _blot_out(connection: Connection, table: str, ids: Collection[str]) -> int:
    """Take Ids out of the texts of a table of notes; in how many rows and columns they were."""
    total = 0
    for column, kind in connection.types("ops", table).items():
        name = quoted(column)
        if kind not in {_TEXT, _TEXTS}:
            continue
        text = f"array_to_string({name}, ',')" if kind == _TEXTS else name
        hit = " OR ".join(f"strpos({text}, {text_literal(i)}) > 0" for i in ids)
        new = f"CAST([] AS {_TEXTS})" if kind == _TEXTS else name
        for i in sorted(ids, key=len, reverse=True):
            if kind == _TEXT:
                new = f"replace({new}, {text_literal(i)}, {text_literal(FORGOTTEN)})"
        ((rows,),) = connection.execute(f"SELECT count(*) FROM ops.{table} WHERE {hit}")
        if rows:
            connection.execute(f"UPDATE ops.{table} SET {name} = {new} WHERE {hit}")
        total += rows
    return total


def _listed(ids: Collection[str]) -> str:
    return ", ".join(map(text_literal, sorted(ids)))
