"""What Dagster's home says of records: its databases in SQLite, and the files that runs wrote."""

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_SQLITE = b"SQLite format 3\x00"
_BESIDE = ("-wal", "-shm", "-journal")
"""How the names of files end that are parts of a database beside it."""
_BUSY = "another program has it open, so bytes are left; stop Dagster, and run this once more"
_PATIENCE = 10.0


@dataclass(slots=True)
class Home:
    """What became of Ids in Dagster's home.

    Attributes:
        removed: In how many rows or places they were, by file.
        remains: Where they are still, and how often.
        errors: What could not be done, by file.
        not_searched: Why it was not looked into; None where it was.
    """

    removed: dict[str, int] = field(default_factory=dict)
    remains: dict[str, int | None] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    not_searched: str | None = None


def forget_in_home(ids: Collection[str]) -> Home:
    """Put others of the same length in the place of Ids, wherever Dagster's home has them.

    Dagster's databases elsewhere, as in PostgreSQL, are not looked at.

    Args:
        ids: The Ids, as long and as short ones.
    """
    found = Home()
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        found.not_searched = "DAGSTER_HOME is not set"
        return found
    if not Path(home).is_dir():
        found.errors[home] = "DAGSTER_HOME names no folder; set it as Dagster has it, and run again"
        return found
    for path in list(_files(home)):
        with _noted(path, found.errors):
            if rows := _forget(path, ids):
                found.removed[str(path)] = rows
            if _is_database(path) and any(_count(part, ids) for part in _parts(path)):
                _free_of_bytes(path)
    for path in _files(home):
        with _noted(path, found.errors):
            if rows := _count(path, ids):
                found.remains[str(path)] = rows
    return found


@contextmanager
def _noted(path: Path, errors: dict[str, str]) -> Iterator[None]:
    """Note what fails with one file, and go on behind the block."""
    try:
        yield
    except FileNotFoundError:  # files of runs come and go
        pass
    except OSError as error:
        errors.setdefault(str(path), f"it could not be read or written: {error.strerror or error}")
    except sqlite3.Error as error:
        errors.setdefault(str(path), f"not free of it: {error}")


def _files(home: str) -> Iterator[Path]:
    return (path for path in Path(home).rglob("*") if path.is_file())


def _forget(path: Path, ids: Collection[str]) -> int:
    """Take Ids out of a file; a database, and what lies beside it, is changed by SQLite alone.

    The frames of a WAL have checksums: with other bytes in one, SQLite drops it and all after it.
    """
    if path.name.endswith(_BESIDE):
        return 0
    if _is_database(path):
        return _forget_in_database(path, ids)
    data = path.read_bytes()
    new = data
    for record in ids:
        new = new.replace(record.encode(), _blank(record).encode())
    if new == data:
        return 0
    found = _count(path, ids)
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(new)
    beside.chmod(path.stat().st_mode)
    beside.replace(path)
    return found


def _forget_in_database(path: Path, ids: Collection[str]) -> int:
    """The same in the texts of a database."""
    rows = 0
    with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database, database:
        for table, column in _columns(database):
            for record in ids:
                changed = database.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                    f'WHERE typeof("{column}") = \'text\' AND instr("{column}", ?)',
                    [record, _blank(record), record],
                )
                rows += changed.rowcount
    return rows


def _free_of_bytes(path: Path) -> None:
    """Have a database and its WAL keep no byte of rows that were changed or removed.

    Raises:
        sqlite3.Error: Another program has it open.
    """
    with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database:
        database.execute("VACUUM")
        ((busy, *_),) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise sqlite3.OperationalError(_BUSY)


def _parts(path: Path) -> list[Path]:
    """The files that a database is in."""
    return [part for end in ("", *_BESIDE) if (part := Path(f"{path}{end}")).exists()]


def _columns(database: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [
        (table, column)
        for (table,) in tables
        for _, column, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall()
    ]


def _is_database(path: Path) -> bool:
    """Whether a file is one, or will be when what lies beside it is worked into it."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE or Path(f"{path}-wal").exists()


def _count(path: Path, ids: Collection[str]) -> int:
    """How often a file has short Ids in it, which the long ones begin with."""
    data, short = path.read_bytes(), min(map(len, ids))
    return sum(data.count(record.encode()) for record in set(ids) if len(record) == short)


def _blank(record: str) -> str:
    return "0" * len(record)
