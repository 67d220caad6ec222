"""The copy of a DuckDB file that readers hold open."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from sf_assets.errors import ConfigError, WarehouseError
from sf_assets.warehouse.duckdb import copy_file
from sf_assets.warehouse.duckdb.database import Database

pytestmark = pytest.mark.duckdb


def changed(database: Database, sql: str) -> None:
    with database.connect() as connection:
        connection.execute(sql)


def rows(path: Path) -> list[tuple[int]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute("SELECT n FROM silver.t ORDER BY n").fetchall()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"duckdb:///{tmp_path}/sf.duckdb")
    changed(database, "CREATE SCHEMA IF NOT EXISTS silver; CREATE TABLE silver.t AS SELECT 1 AS n")
    return database


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def copy(database: Database) -> Path:
    assert database.published
    return database.published.path


def test_a_reader_keeps_its_state_and_sees_the_new_one_when_it_opens_again(
    database: Database,
) -> None:
    database.publish()
    reader = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _READER, str(copy(database))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout
    assert reader.stdout.readline() == "1\n"
    for number in range(2, 6):  # nobody waits, whatever the reader does
        changed(database, f"INSERT INTO silver.t VALUES ({number})")
        database.publish()
    told, _ = reader.communicate("again\n")
    assert told == "1\n5\n"


_READER = """
import duckdb, sys
held = duckdb.connect(sys.argv[1], read_only=True)
ask = "SELECT count(*) FROM silver.t"
print(held.execute(ask).fetchone()[0], flush=True)
sys.stdin.readline()
print(held.execute(ask).fetchone()[0])
held.close()
print(duckdb.connect(sys.argv[1], read_only=True).execute(ask).fetchone()[0])
"""


def test_what_is_as_published_is_not_copied_again(database: Database) -> None:
    database.publish()
    before = copy(database).stat().st_ino
    database.publish()
    with database.connect(read_only=True):
        pass
    with database.connect():
        pass
    database.publish()
    assert copy(database).stat().st_ino == before


def test_whoever_looks_publishes_what_a_killed_run_has_committed(
    database: Database, tmp_path: Path
) -> None:
    database.publish()
    killed = (
        f"import duckdb, os; c = duckdb.connect({str(database.path)!r}); "
        "c.execute('INSERT INTO silver.t VALUES (7)'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", killed], check=False)  # noqa: S603
    assert (tmp_path / "sf.duckdb.wal").exists()
    database.publish()
    assert rows(copy(database)) == [(1,), (7,)]


def test_while_another_program_writes_it_is_left_to_that_one(database: Database) -> None:
    database.publish()
    changed(database, "INSERT INTO silver.t VALUES (2)")
    hold = (
        f"import duckdb, sys; c = duckdb.connect({str(database.path)!r}); print('held', "
        "flush=True); sys.stdin.readline()"
    )
    writer = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout
    writer.stdout.readline()
    database.publish()
    assert rows(copy(database)) == [(1,)]
    writer.communicate("\n")
    database.publish()
    assert rows(copy(database)) == [(1,), (2,)]


def test_the_file_stays_locked_while_it_is_copied(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX takes the locks of a process that closes a file which it has open twice."""
    assert database.published
    make, told = database.published.make, list[str]()

    def made() -> None:
        make()
        other = [sys.executable, "-c", f"import duckdb; duckdb.connect({str(database.path)!r})"]
        run = subprocess.run(other, capture_output=True, text=True, check=False)  # noqa: S603
        told.append(run.stderr)

    monkeypatch.setattr(database.published, "make", made)
    database.publish()
    assert "Could not set lock" in told[0]


def test_who_may_read_the_copy_stays_as_it_was_set(database: Database) -> None:
    database.publish()
    assert copy(database).stat().st_mode & 0o777 == 0o600
    copy(database).chmod(0o640)
    changed(database, "INSERT INTO silver.t VALUES (2)")
    database.publish()
    assert copy(database).stat().st_mode & 0o777 == 0o640


def test_a_copy_that_cannot_be_made_leaves_the_earlier_one_and_says_so(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database.publish()
    changed(database, "INSERT INTO silver.t VALUES (2)")
    full = tmp_path / "full.py"
    full.write_text("import sys; sys.exit('No space left on device')", encoding="utf-8")
    monkeypatch.setattr(copy_file, "__file__", str(full))
    with pytest.raises(WarehouseError, match="could not be made anew: No space left on device"):
        database.publish()
    assert rows(copy(database)) == [(1,)]
    assert names(tmp_path) == ["full.py", "sf.duckdb", "sf.published.duckdb"]


def test_publishing_can_be_turned_off(tmp_path: Path) -> None:
    database = Database(f"duckdb:///{tmp_path}/sf.duckdb?publish=off")
    changed(database, "CREATE SCHEMA IF NOT EXISTS silver")
    database.publish()
    assert names(tmp_path) == ["sf.duckdb"]
    with pytest.raises(ConfigError, match="publish is on or off"):
        Database(f"duckdb:///{tmp_path}/sf.duckdb?publish=maybe")


def test_what_somebody_wrote_into_a_copy_does_not_spoil_the_next(database: Database) -> None:
    database.publish()
    killed = (
        f"import duckdb, os; c = duckdb.connect({str(copy(database))!r}); "
        "c.execute('INSERT INTO silver.t VALUES (7)'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", killed], check=False)  # noqa: S603
    assert copy(database).with_name(f"{copy(database).name}.wal").exists()
    database.publish()
    assert rows(copy(database)) == [(1,)]
