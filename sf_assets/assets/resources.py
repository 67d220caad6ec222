"""The three resources that all connections of assets, schedules and sensors are made of."""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, cast

import dagster as dg
from pydantic import Field, ValidationError

from sf_assets.errors import ConfigError, WarehouseError
from sf_assets.naming import ONLY
from sf_assets.privacy import HASH_KEY
from sf_assets.settings import (
    Credentials,
    ReadingSettings,
    credentials_prefix,
    environment,
    load_settings,
    named_addresses,
    problem_of,
)
from sf_assets.warehouse.engines import engine_of

if TYPE_CHECKING:
    import pyarrow as pa

    from sf_assets.salesforce.client import Client
    from sf_assets.storage.store import Store
    from sf_assets.warehouse.port import Warehouse

_STORAGE_OPTIONS = ("endpoint", "region", "kms_key", "storage_class")


class SalesforceResource(dg.ConfigurableResource[Any]):
    """One org: how it is reached, entered and read.

    Which login flow is used follows from what is set. The UI shows values, but of an `EnvVar` only
    the name: secrets are to be given as that. How it is read is said by `SF_ASSETS_*` where it is
    not set here.
    """

    login_url: str | None = Field(
        default=None, description="Address of My Domain, or of the login host."
    )
    client_id: str | None = None
    client_secret: str | None = None
    username: str | None = None
    password: str | None = None
    security_token: str | None = None
    private_key_file: str | None = None
    refresh_token: str | None = None
    api_version: str | None = Field(
        default=None,
        description="Such as 66.0; the newest that the org offers and we know if not set.",
    )
    lag_seconds: int | None = Field(
        default=None, description="Windows end this long before the org's present."
    )
    overlap_seconds: int | None = Field(
        default=None, description="Windows begin this long before the watermark."
    )
    api_reserve_percent: int | None = Field(
        default=None, description="Share of the org's limits that is never used."
    )

    @classmethod
    def from_environment(cls, org: str = ONLY) -> Self:
        """The resource of `SALESFORCE_*`, or `SALESFORCE_<ORG>_*`, and `SF_ASSETS_*`.

        Each variable that is set now becomes an `EnvVar`, and has to be set where runs are, too:
        values are read there.
        """
        env, prefix = environment(), credentials_prefix(org)
        texts = {name: prefix + name.upper() for name in Credentials.model_fields}
        numbers = {name: f"SF_ASSETS_{name.upper()}" for name in ReadingSettings.model_fields}
        values: dict[str, Any] = {n: dg.EnvVar(v) for n, v in texts.items() if v in env}
        values |= {n: dg.EnvVar.int(v) for n, v in numbers.items() if v in env}
        return cls(**values)

    @property
    def reading(self) -> ReadingSettings:
        """How it is read: as is set here, else by the environment.

        Raises:
            ConfigError: A variable is not valid, or what is set here.
        """
        said = {name: getattr(self, name) for name in ReadingSettings.model_fields}
        set_here = {name: value for name, value in said.items() if value is not None}
        try:
            return ReadingSettings.model_validate(load_settings().model_dump() | set_here)
        except ValidationError as error:
            name, problem = problem_of(error)
            raise ConfigError(f"{name} of the resource is not valid: {problem}") from None

    @cached_property
    def client(self) -> "Client":
        """The connection; the first use logs in.

        Raises:
            ConfigError: Credentials are incomplete.
            LoginError: The org refused them.
            OrgUnreachableError: No Salesforce answers at the address.
        """
        from sf_assets.salesforce.client import connect

        values = {name: getattr(self, name) or None for name in Credentials.model_fields}
        return connect(Credentials.model_validate(values), self.reading.api_reserve_percent)


class StorageResource(dg.ConfigurableResource[Any]):
    """The object storage of the raw layer.

    What is set neither here nor by the credentials is what `SF_ASSETS_STORAGE_*` say.
    """

    url: str = Field(description="`file:///…`, `s3://…`, `gs://…` or `az://…`.")
    credentials: dg.ResourceDependency[Any] = Field(
        default=cast("Any", None),
        description="An `S3Resource` of dagster-aws or a `GCSResource` of dagster-gcp; the "
        "environment's if not set.",
    )
    endpoint: str | None = Field(
        default=None, description="Address of the service, where it is not the cloud's own."
    )
    region: str | None = Field(default=None, description="Region of the bucket; s3 only.")
    kms_key: str | None = Field(
        default=None, description="Key of your own that S3 encrypts what is written with; s3 only."
    )
    storage_class: str | None = Field(
        default=None, description="Storage class, or Azure's tier, of Parquet files."
    )

    @classmethod
    def from_environment(cls) -> Self:
        """The resource of `SF_ASSETS_STORAGE_*`; a folder in the current one if none is set."""
        env = environment()
        options = {name: _variable(name) for name in _STORAGE_OPTIONS}
        given = {name: dg.EnvVar(variable) for name, variable in options.items() if variable in env}
        url = _url("SF_ASSETS_STORAGE_URL", load_settings({}).storage_url)
        return cls(url=url, **given)

    @property
    def store(self) -> "Store":
        """The storage.

        Raises:
            ConfigError: The address is of no kind that there is, or the credentials are not.
        """
        from sf_assets.assets.cloud import access_of
        from sf_assets.storage.bucket import Access
        from sf_assets.storage.store import Store

        env, given = environment(), self.credentials
        access = Access(variables=env) if given is None else access_of(given)
        options: dict[str, Any] = {
            name: getattr(self, name) or getattr(access, name) or env.get(_variable(name))
            for name in _STORAGE_OPTIONS
        }
        return Store(self.url, replace(access, **options))


class WarehouseResource(dg.ConfigurableResource[Any]):
    """The warehouse of silver and gold."""

    url: str = Field(
        description="`duckdb:////path/to/file`, whose parameters are the engine's options, "
        "`postgresql://…`, `snowflake://…`, `redshift://…` or `bigquery://project/prefix`."
    )
    credentials: dg.ResourceDependency[Any] = Field(
        default=cast("Any", None),
        description="A `BigQueryResource` of dagster-gcp, for BigQuery; for Redshift an "
        "`S3Resource` of dagster-aws, which enters the staging folder, or its "
        "`RedshiftClientResource`. What the address says, or the cloud's own tools find, if not "
        "set.",
    )
    hash_key: str | None = Field(
        default=None,
        description="Key of the hashes of fields that the catalogue has hashed; that of "
        f"`{HASH_KEY}` if not set.",
    )
    name: str | None = Field(
        default=None,
        description="Which one it is, where the address is of several, as SF_ASSETS_WAREHOUSES.",
    )

    @classmethod
    def from_environment(cls) -> Self:
        """The resource of the first warehouse; a file in the current folder if none is set."""
        return next(iter(cls.all_from_environment().values()))

    @classmethod
    def all_from_environment(cls) -> dict[str, Self]:
        """The resources of `SF_ASSETS_WAREHOUSE_URL` and `SF_ASSETS_WAREHOUSES`, by name.

        Raises:
            ConfigError: A variable is not valid.
        """
        settings = load_settings()
        key = dg.EnvVar(HASH_KEY) if HASH_KEY in environment() else None
        several = {
            name: cls(url=dg.EnvVar("SF_ASSETS_WAREHOUSES"), name=name, hash_key=key)
            for name in settings.warehouses
        }
        only = _url("SF_ASSETS_WAREHOUSE_URL", settings.warehouse_url)
        return {
            name: several.get(name) or cls(url=only, hash_key=key) for name in settings.addresses
        }

    @property
    def kind(self) -> str:
        """What it is, such as `duckdb`, for icons."""
        url = self.url.get_value("") if isinstance(self.url, dg.EnvVar) else self.url
        return engine_of(self._own(url or "")) or "sql"

    @property
    def key(self) -> str | None:
        """Key of hashes: as is set here, else by the environment."""
        return self.hash_key or environment().get(HASH_KEY)

    @property
    def warehouse(self) -> "Warehouse":
        """The warehouse.

        Raises:
            ConfigError: The address is of no engine that there is.
        """
        from sf_assets.assets.cloud import bigquery_access_of, redshift_access_of
        from sf_assets.warehouse.open import open_warehouse

        url = self._own(self.url)
        if self.credentials is None:
            return open_warehouse(url)
        if engine_of(url) == "redshift":
            return open_warehouse(*redshift_access_of(self.credentials, url))
        if engine_of(url) != "bigquery":
            raise ConfigError(
                "the credentials of a warehouse resource are BigQuery's or Redshift's; those of "
                "other engines are in the address"
            )
        found, location = bigquery_access_of(self.credentials)
        if location and "location=" not in url:
            url += f"{'&' if '?' in url else '?'}location={location}"
        return open_warehouse(url, found)

    def _own(self, url: str) -> str:
        """Its own address.

        Raises:
            ConfigError: There is none of its name.
        """
        if self.name is None:
            return url
        try:
            return named_addresses(url)[self.name]
        except (KeyError, ValueError):
            raise ConfigError(
                f"the resource of the warehouse {self.name} finds no address of that name; set "
                f"SF_ASSETS_WAREHOUSES where the run is: {self.name}=duckdb:////path/to/file,…"
            ) from None

    def query(self, sql: str) -> "pa.Table":
        """Ask a question; nothing can be changed by it.

        Args:
            sql: One question in the engine's own SQL, such as `SELECT * FROM silver.account_live`.

        Returns:
            All rows, as Arrow: `polars.from_arrow(…)` and `.to_pandas()` take no copy of most.

        Raises:
            WarehouseLockedError: Another program writes, and stays at it.
            WarehouseError: It cannot be opened, refuses the question, or this is none.
        """
        if not isinstance(sql, str):
            raise WarehouseError(f"query() takes SQL as text, and was given {type(sql).__name__}")
        return self.warehouse.query(sql)


def _variable(option: str) -> str:
    """Name of the variable of an option of the storage."""
    return f"SF_ASSETS_STORAGE_{option.removeprefix('storage_').upper()}"


def _url(variable: str, default: str) -> str:
    return dg.EnvVar(variable) if variable in environment() else default
