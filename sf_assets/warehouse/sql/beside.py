"""Tables that are made anew beside the old ones, where an engine takes no DDL in a transaction.

They are filled in a schema of their own. The transaction that does so notes in `ops` what they hold
and that they are to take the old ones' place: with it the rebuild has come to pass. Each is then
put in its place by a statement of its own; where a program is ended in between, the next one that
opens the warehouse for writing goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sf_assets.sql import quoted
from sf_assets.warehouse.sql import history
from sf_assets.warehouse.sql.connection import Connection
from sf_assets.warehouse.sql.tables import Table


@contextmanager
def empty_place(table: Table, org_id: str) -> Iterator[Table]:
    """The place beside a table, where nothing is; what is there when the block ends takes its own.

    Args:
        table: The silver table, which may be there or not.
        org_id: Whose; the block calls `note` for it, in the transaction that fills the place.
    """
    finish(table.connection, org_id)
    beside = replace(table, schema=_place(table.schema))
    _clear(beside)
    yield beside
    finish(table.connection, org_id)


def note(table: Table, org_id: str, *, versions: bool) -> None:
    """Note, in the transaction that fills the place beside a table, that this takes its own.

    Args:
        table: The silver table.
        org_id: Whose.
        versions: Whether its history goes, too, for the one that is beside it, or for none.
    """
    table.connection.execute(
        "INSERT INTO ops.rebuilt (org_id, object, silver, history) VALUES (?, ?, ?, ?)",
        [org_id, table.noted, table.schema, versions],
    )


def finish(connection: Connection, org_id: str) -> None:
    """Put an org's tables in their places that were filled beside them."""
    for noted, schema, versions in connection.execute(
        "SELECT object, silver, history FROM ops.rebuilt WHERE org_id = ?", [org_id]
    ):
        table = Table(connection, schema, noted.rpartition(".")[2], versions, noted)
        *own, history_of_it = _relations(table)
        for relation in [*own, history_of_it] if versions else own:
            _put(connection, schema, relation)
        if table.types():
            table.make_view()
        if versions and history.types(table):
            history.make_view(table)
        elif versions:
            history.drop(table)
        connection.execute(
            "DELETE FROM ops.rebuilt WHERE org_id = ? AND object = ?", [org_id, noted]
        )
        _clear(replace(table, schema=_place(schema)))


def _put(connection: Connection, schema: str, relation: str) -> None:
    """Have a table hold what is beside it, or not be there either."""
    beside, own = quoted(_place(schema), relation), quoted(schema, relation)
    if not connection.types(_place(schema), relation):
        connection.execute(f"DROP TABLE IF EXISTS {own}")
        return
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    connection.replace(schema, relation, f"SELECT * FROM {beside}")
    said = connection.comments(_place(schema)).get(relation, {})
    connection.comment(schema, relation, {name: text for name, text in said.items() if text})


def _clear(beside: Table) -> None:
    for view in ("live", "history"):
        beside.connection.execute(
            f"DROP VIEW IF EXISTS {quoted(beside.schema, f'{beside.slug}_{view}')}"
        )
    for relation in _relations(beside):
        beside.connection.execute(f"DROP TABLE IF EXISTS {quoted(beside.schema, relation)}")


def _relations(table: Table) -> list[str]:
    return [table.slug, f"{table.slug}_rejects", f"{table.slug}_versions"]


def _place(schema: str) -> str:
    """The schema beside silver's; no org's is called so."""
    return f"rebuilt_{schema}"
