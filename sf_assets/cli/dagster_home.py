"""What Dagster's home says of records: its databases in SQLite, and the files that runs wrote."""

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

_SQLITE = b"SQLite format 3\x00"


def forget_in_home(ids: Collection[str]) -> tuple[dict[str, int], dict[str, int | None]]:
    """Put others of the same length in the place of Ids, wherever Dagster's home has them.

    Dagster's databases elsewhere, as in PostgreSQL, are not looked at.

    Args:
        ids: The Ids, as long and as short ones.

    Returns:
        In how many rows or places they were, by file, and where they are still.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        return {}, {}
    removed = {str(path): found for path in _files(home) if (found := _forget(path, ids))}
    left: dict[str, int | None] = {str(p): f for p in _files(home) if (f := _count(p, ids))}
    return removed, left


def _files(home: str) -> Iterator[Path]:
    return (path for path in Path(home).rglob("*") if path.is_file())


def _forget(path: Path, ids: Collection[str]) -> int:
    if _is_database(path):
        return _forget_in_database(path, ids)
    data = path.read_bytes()
    new = data
    for record in ids:
        new = new.replace(record.encode(), _blank(record).encode())
    if new == data:
        return 0
    found = _count(path, ids)
    path.write_bytes(new)
    return found


def _forget_in_database(path: Path, ids: Collection[str]) -> int:
    """The same in the texts of a database, which then keeps no byte of what was there."""
    rows = 0
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.execute("PRAGMA secure_delete = ON")
        with database:
            for table, column in _columns(database):
                for record in ids:
                    changed = database.execute(
                        f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                        f'WHERE typeof("{column}") = \'text\' AND instr("{column}", ?)',
                        [record, _blank(record), record],
                    )
                    rows += changed.rowcount
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return rows


def _columns(database: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [
        (table, column)
        for (table,) in tables
        for _, column, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall()
    ]


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _count(path: Path, ids: Collection[str]) -> int:
    """How often a file has short Ids in it, which the long ones begin with."""
    data = path.read_bytes()
    return sum(
        data.count(record.encode()) for record in set(ids) if len(record) == min(map(len, ids))
    )


def _blank(record: str) -> str:
    return "0" * len(record)
