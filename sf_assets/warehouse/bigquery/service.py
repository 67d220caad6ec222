"""The jobs, tables and the session by which a warehouse in BigQuery is asked and changed."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY

from sf_assets.naming import Names
from sf_assets.warehouse.bigquery.address import Address
from sf_assets.warehouse.bigquery.refusals import NOT_FOUND, BigQueryError, told
from sf_assets.warehouse.bigquery.render import Statement

_PATIENCE = 30.0
"""Seconds for which a service that does not answer is asked again."""

_LABELS = {"application": "sf_assets"}
_MOST = 1024
"""Characters that a description may have."""


class Service:
    """BigQuery, as one project's credentials see it.

    Args:
        address: Where.
        credentials: Of google-auth; None for those of the address.

    Attributes:
        location: Where jobs are run; empty where BigQuery is to find it.

    Raises:
        BigQueryError: There are no credentials.
        OSError: The file of them cannot be read.
        ValueError: It holds none.
    """

    def __init__(self, address: Address, credentials: Any = None) -> None:
        self._address, self._credentials = address, credentials
        with told():
            self._client: bigquery.Client = address.client(credentials)
        self._retry = bigquery.DEFAULT_RETRY.with_timeout(_PATIENCE)
        self._session = ""
        self.location = address.location or ""

    def another(self) -> "Service":
        """The same for another thread."""
        service = Service(self._address, self._credentials)
        service.location = self.location
        return service

    def close(self) -> None:
        """End the session, if there is one, and what it has not committed."""
        with suppress(BigQueryError):
            self.end_session()
        self._client.close()  # type: ignore[no-untyped-call]

    @property
    def session(self) -> str:
        """Id of the session of transactions, which is begun when it is first asked for."""
        if not self._session:
            config = bigquery.QueryJobConfig(create_session=True, labels=_LABELS)
            with told():
                job = self._client.query(
                    "SELECT 1", config, location=self.location, retry=self._retry
                )
                job.result()
            info = job.session_info
            self._session = str(info.session_id) if info else ""
        return self._session

    def end_session(self) -> None:
        """End the session, and what it has not committed; the next transaction begins another."""
        session, self._session = self._session, ""
        if session:
            self.abort(session)

    def abort(self, session: str) -> None:
        """End a session, whosever it is, and what it has not committed."""
        self.answered(Statement(f"CALL BQ.ABORT_SESSION('{session}')"))

    def answered(self, statement: Statement, *, in_session: bool = False) -> Any:
        """What answers a statement: its rows, or how many it changed.

        Args:
            statement: The statement.
            in_session: Whether it belongs to what the session is in the middle of. Such a one is
                not run again by itself.
        """
        config = _config(statement)
        if in_session:
            session = bigquery.ConnectionProperty("session_id", self.session)
            config.connection_properties = [session]
        again: Any = None if in_session else DEFAULT_JOB_RETRY
        with told():
            return self._client.query_and_wait(
                statement.sql,
                job_config=config,
                location=self.location,
                retry=self._retry,
                job_retry=again,
            )

    def answered_all(self, statements: Iterable[str]) -> None:
        """Run statements of which nothing is asked but that they are run, by one job."""
        if script := ";\n".join(statements):
            self.answered(Statement(script))

    def looked_at(self, statement: Statement) -> bigquery.QueryJob:
        """What a statement would do, which is not run."""
        config = _config(statement)
        config.dry_run, config.use_query_cache = True, False
        with told():
            return self._client.query(
                statement.sql, config, location=self.location, retry=self._retry
            )

    def load(self, place: str, path: Path) -> None:
        """Append the rows of a Parquet file to a table."""
        lists = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
        lists.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            decimal_target_types=["NUMERIC", "BIGNUMERIC"],
            parquet_options=lists,
            labels=_LABELS,
        )
        with told(), path.open("rb") as file:
            self._client.load_table_from_file(
                file, self._of(place), job_config=config, location=self.location
            ).result(retry=self._retry)

    def place_of(self, dataset: str) -> str | None:
        """Where a dataset is; None where there is none."""
        try:
            with told():
                return str(self._client.get_dataset(dataset, retry=self._retry).location)
        except BigQueryError as error:
            if error.reason != NOT_FOUND:
                raise
            return None

    def datasets(self) -> list[str]:
        """All datasets of the project."""
        with told():
            return [one.dataset_id for one in self._client.list_datasets(retry=self._retry)]

    def tables(self, dataset: str) -> list[str]:
        """Names of the tables of a dataset, without its views; none where it is not there."""
        try:
            with told():
                found = list(self._client.list_tables(dataset, retry=self._retry))
        except BigQueryError as error:
            if error.reason != NOT_FOUND:
                raise
            return []
        return [one.table_id for one in found if "VIEW" not in one.table_type]

    def columns(self, place: str) -> list[bigquery.SchemaField]:
        """The columns of a table or view; none where it is not there."""
        try:
            with told():
                return list(self._client.get_table(self._of(place), retry=self._retry).schema)
        except BigQueryError as error:
            if error.reason != NOT_FOUND:
                raise
            return []

    def describe(self, place: str, comments: Mapping[str, str]) -> None:
        """Say what columns of a table are, all at once."""
        said = Names(comments.items())
        with told():
            table = self._client.get_table(self._of(place), retry=self._retry)
            table.schema = [_described(field, said.get(field.name)) for field in table.schema]
            self._client.update_table(table, ["schema"], retry=self._retry)

    def _of(self, place: str) -> str:
        return f"{self._client.project}.{place}"


def _config(statement: Statement) -> bigquery.QueryJobConfig:
    parameters = [
        bigquery.ArrayQueryParameter(name, kind, members)
        for name, (kind, members) in statement.lists.items()
    ]
    return bigquery.QueryJobConfig(query_parameters=parameters, labels=_LABELS)


def _described(field: bigquery.SchemaField, comment: str | None) -> bigquery.SchemaField:
    if comment is None:
        return field
    told_of = field.to_api_repr() | {"description": comment[:_MOST]}
    return bigquery.SchemaField.from_api_repr(told_of)
