"""Questions that silver tables are asked, as SQL; each answers with a number of offenders."""

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from sf_assets.naming import Names
from sf_assets.sql import quoted

MULTIPLE = "VARCHAR[]"


class Silver:
    """The silver tables of one org, open for reading.

    Args:
        connection: Open on the warehouse.
        schema: `silver`, or `silver_<org>`.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, schema: str) -> None:
        self._run = connection.execute
        self._schema = schema
        rows = self._run(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE "
            "database_name = current_database() AND schema_name = ?",
            [schema],
        ).fetchall()
        columns: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in rows:
            columns.setdefault(table, []).append((column, kind))
        self._types = {table: Names(some) for table, some in columns.items()}

    def __contains__(self, slug: str) -> bool:
        return slug in self._types

    def columns(self, slug: str) -> Names[str]:
        """SQL types of an object's columns, by name."""
        return self._types[slug]

    def live(self, slug: str) -> str:
        """An object's live view, as SQL writes it."""
        return quoted(self._schema, f"{slug}_live")

    def rows(self, slug: str) -> int:
        """Rows of an object's live view."""
        return self._count(f"SELECT count(*) FROM {self.live(slug)}")

    def bad_ids(self, slug: str) -> int:
        """Rows without an Id, or with one that another row has, too."""
        table = quoted(self._schema, slug)
        return self._count(f"SELECT count(*) - count(DISTINCT Id) FROM {table}")

    def rejects(self, slug: str) -> dict[str, int]:
        """Values that could not be typed, by column."""
        table = quoted(self._schema, f"{slug}_rejects")
        return dict(self._run(f'SELECT "column", count(*) FROM {table} GROUP BY 1').fetchall())

    def dangling(self, slug: str, references: Mapping[str, Iterable[str]]) -> dict[str, int]:
        """Live rows whose reference leads to no record, by column; only columns with any.

        Args:
            slug: The object.
            references: Objects that each column may point at. Columns that may point at an object
                which is not in silver are passed over: nothing can be said of them.
        """
        found = {}
        for column, targets in references.items():
            slugs = [target.lower() for target in targets]
            if column not in self._types[slug] or not all(target in self for target in slugs):
                continue
            name = quoted(column)
            missing = " AND ".join(
                f"NOT EXISTS (SELECT 1 FROM {quoted(self._schema, target)} p WHERE p.Id = t.{name})"
                for target in slugs
            )
            lost = f"t.{name} IS NOT NULL AND {missing}"
            if count := self._count(f"SELECT count(*) FROM {self.live(slug)} t WHERE {lost}"):
                found[column] = count
        return found

    def unlisted(self, slug: str, picklists: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """Live rows with a picklist value that describe does not list, by column; only with any."""
        found = {}
        for column, values in picklists.items():
            if column not in self._types[slug]:
                continue
            name = quoted(column)
            held = f"[{name}]" if self._types[slug][column] != MULTIPLE else name
            query = (
                f"SELECT count(*) FROM {self.live(slug)} "
                f"WHERE {name} IS NOT NULL AND NOT list_has_all(?, {held})"
            )
            if count := self._count(query, [list(values)]):
                found[column] = count
        return found

    def _count(self, query: str, parameters: Sequence[object] = ()) -> int:
        row = self._run(query, list(parameters)).fetchone()
        return int(row[0]) if row else 0
