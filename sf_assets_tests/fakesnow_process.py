"""Snowflake by fakesnow, as a process of an environment that has it, and nothing of this project.

Started with a folder for its databases and a port, 0 for any; it prints the port, and ends when its
standard input does. What fakesnow does otherwise than
Snowflake, and tests meet, is mended here; docs/warehouses.md lists what stays.
"""

import logging
import re
import socket
import sys
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.server
import fakesnow.transforms
import pyarrow as pa
import pyarrow.compute as pc
import uvicorn
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

_DDL = (exp.Alter, exp.Comment, exp.Create, exp.Drop)
_SESSION = re.compile(r"CURRENT_(WAREHOUSE|ROLE)\(\)")
_NO_SUCH_COLUMN = 2043  # as fakesnow has it
_TEMPORARY = "SF_ASSETS_TEMP_"
_DONE = "SELECT 'Statement executed successfully.' AS status"

_IDLE_SECONDS = 5
_used: dict[Any, float] = {}
"""When each session was used last."""

_as_struct = fakesnow.arrow.timestamp_to_sf_struct


def _times(times: Any) -> pa.StructArray:
    """Times as the connector gets them: one that is not known is none, not the start of 1970."""
    kind = times.type
    values = pa.concat_arrays([*times.chunks, pa.array([], kind)])
    told = _as_struct(pc.fill_null(values, pa.scalar(0, pa.int64()).cast(kind)))
    return pa.StructArray.from_arrays(told.flatten(), fields=list(told.type), mask=values.is_null())


class _Cursor(FakeSnowflakeCursor):  # type: ignore[misc]  # it is of another environment
    def execute(self, command: str, *args: Any, **kwargs: Any) -> FakeSnowflakeCursor:
        """Run a statement; a session has the warehouse and the role that it asks for."""
        _used[self._conn] = time.monotonic()
        return super().execute(_SESSION.sub(r"'\1' ", command), *args, **kwargs)

    def _transform(self, expression: exp.Expr, params: Any) -> Any:
        """Have temporary tables told apart by their names: in DuckDB they are in no schema."""
        for table in expression.find_all(exp.Table):
            if table.name.upper().startswith(_TEMPORARY):
                name = f"{table.name.upper()}_{id(self._conn)}"
                table.set("this", exp.to_identifier(name, quoted=True))
                if isinstance(expression, exp.Create):
                    expression.set("properties", None)
        return super()._transform(expression, params)

    def _execute(self, transformed: exp.Expr, params: Any = None) -> None:
        """Run a statement; DDL commits, and what fails is an error that the connector knows."""
        if isinstance(transformed, _DDL):
            with suppress(duckdb.TransactionException):
                self._duck_conn.commit()
        try:
            super()._execute(transformed, params)
        except ProgrammingError as error:
            if error.errno != _NO_SUCH_COLUMN:
                raise
            raise ProgrammingError(msg=error.msg, errno=904, sqlstate="42000") from None
        except duckdb.TransactionException as error:
            self._end_idle_transactions()
            raise ProgrammingError(msg=str(error), errno=625, sqlstate="57014") from None
        except duckdb.Error as error:
            raise ProgrammingError(msg=str(error), errno=100000, sqlstate="22000") from None
        if isinstance(transformed, exp.Comment):
            self._last_sql = _DONE
        elif self._last_sql.startswith("("):  # which DESCRIBE does not take
            self._last_sql = f"SELECT * FROM ({self._last_sql})"

    def _end_idle_transactions(self) -> None:
        """Roll back what stands in another's way and is idle; Snowflake does after five minutes."""
        for connection, used in list(_used.items()):
            if connection is not self._conn and time.monotonic() - used > _IDLE_SECONDS:
                with suppress(duckdb.TransactionException):
                    connection._duck_conn.rollback()  # noqa: SLF001


def main() -> None:
    """Serve until standard input ends."""
    import fakesnow.conn

    fakesnow.arrow.timestamp_to_sf_struct = _times
    fakesnow.transforms.numeric_agg_implicit_cast = lambda node: node  # sums of decimals are exact
    fakesnow.conn.FakeSnowflakeCursor = _Cursor
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    folder, asked = sys.argv[1:]
    fakesnow.server.shared_fs = FakeSnow(db_path=folder)
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", int(asked)))
        port = found.getsockname()[1]
    config = uvicorn.Config(fakesnow.server.app, host="127.0.0.1", port=port, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.05)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
