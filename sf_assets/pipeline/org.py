"""One org of the catalogue with everything that belongs to it: connection, raw, warehouse."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from sf_assets.catalog import Catalog, load_catalog
from sf_assets.errors import ConfigError, OrgUnreachableError, SalesforceError, SfAssetsError
from sf_assets.naming import ONLY, gold_name, silver_name
from sf_assets.pipeline.planning.api_usage import last_usage
from sf_assets.salesforce.client import Client, connect
from sf_assets.salesforce.responses import NOT_OF_THE_QUESTION
from sf_assets.settings import (
    ReadingSettings,
    Settings,
    environment,
    load_credentials,
    load_settings,
    variables_of,
)
from sf_assets.storage.bucket import Access
from sf_assets.storage.raw_layer import RawLayer, open_raw, owner_of
from sf_assets.storage.store import Store
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.port import Session, Warehouse


@dataclass(frozen=True, slots=True)
class Connections:
    """The three places between which an org's data moves. Each is opened when it is first used.

    Attributes:
        salesforce: Logs in to the org.
        storage: Opens the storage of raw.
        warehouse: Opens the warehouse of silver and gold.
        hash_key: Tells the key of the hashes of fields in it; None where there is none.
    """

    salesforce: Callable[[], Client]
    storage: Callable[[], Store]
    warehouse: Callable[[], Warehouse]
    hash_key: Callable[[], str | None] = lambda: None


class Org:
    """One org of the catalogue, connected.

    Args:
        name: As the catalogue calls it; `ONLY` when it names none.
        catalog: The catalogue.
        settings: How it is read.
        connections: Where its data comes from and goes to; each is called once at most.
    """

    def __init__(
        self, name: str, catalog: Catalog, settings: ReadingSettings, connections: Connections
    ) -> None:
        self.name = name
        self.catalog = catalog
        self.settings = settings
        self._connections = connections
        self._lock = threading.RLock()

    @property
    def schema(self) -> str:
        """Schema of its silver tables."""
        return silver_name(self.name)

    @property
    def gold(self) -> str:
        """Schema of its gold tables."""
        return gold_name(self.name)

    @cached_property
    def client(self) -> Client:
        """The connection; the first use logs in."""
        with self._lock, variables_of(self.name):
            client = self._connections.salesforce()
        client.session.org_name = self.name
        return client

    def now(self) -> datetime:
        """The org's present, by its own clock once it has been asked anything; UTC."""
        return self.client.now() if "client" in self.__dict__ else datetime.now(UTC)

    def ends_all(self, error: SfAssetsError) -> bool:
        """Whether an error of one object would meet the others as well.

        Where no answer came to a question of one object, the org is asked for the least there is.
        """
        if not isinstance(error, OrgUnreachableError):
            return isinstance(error, NOT_OF_THE_QUESTION)
        try:
            self.client.rest.limits()
        except SalesforceError as other:
            return isinstance(other, NOT_OF_THE_QUESTION)
        return False

    @cached_property
    def user(self) -> str:
        """Name of the user whose permissions decide what we see; the org is asked once."""
        try:
            return str(self.client.rest.user()["preferred_username"])
        except (SalesforceError, KeyError):
            return "the user of these credentials"

    @cached_property
    def storage(self) -> Store:
        """The storage of raw."""
        return self._connections.storage()

    @cached_property
    def raw(self) -> RawLayer:
        """The raw layer, claimed for the org that the credentials lead to."""
        raw = open_raw(self.storage, self.client.org_id, self.name)
        raw.late = self.settings.late
        if told := last_usage(raw):
            self.client.session.clock.recall(told.at)
            self.client.budget.recall(told.used, told.allowed, told.at)
        return raw

    @cached_property
    def stored_raw(self) -> RawLayer:
        """The raw layer as it is, without asking the org.

        Raises:
            ConfigError: The storage holds nothing yet.
        """
        owner = owner_of(self.storage, self.name)
        if owner is None:
            raise ConfigError(
                f"the storage {self.storage.url} holds nothing yet; run `sf-assets refresh` first"
            )
        return RawLayer(self.storage, owner)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse; not yet opened."""
        return self._connections.warehouse()

    @property
    def hash_key(self) -> str | None:
        """The key of hashes; None where there is none."""
        return self._connections.hash_key()

    def reading(self, org_id: str, *, wait: bool = True) -> AbstractContextManager[Session]:
        """The warehouse open for reading what is this org's.

        Args:
            org_id: The org's Id.
            wait: Whether to wait a while if another program holds it.
        """
        return self.warehouse.reading(org_id, self.name, wait=wait)

    def writing(self, org_id: str, *, wait: bool = True) -> AbstractContextManager[Session]:
        """The warehouse open for writing, and claimed for this org; else like `reading`."""
        return self.warehouse.writing(org_id, self.name, wait=wait)


def load_orgs(env: Mapping[str, str] | None = None) -> list[Org]:
    """All orgs of the catalogue that the environment names.

    Raises:
        ConfigError: Settings or catalogue are not valid.
    """
    env = environment() if env is None else env
    settings = load_settings(env)
    catalog = load_catalog(settings.catalog)
    return [org_of_environment(name, catalog, settings, env) for name in catalog.orgs or (ONLY,)]


def org_of_environment(
    name: str, catalog: Catalog, settings: Settings, env: Mapping[str, str]
) -> Org:
    """An org whose credentials are in the environment."""

    def log_in() -> Client:
        return connect(load_credentials(env, name), settings.api_reserve_percent)

    connections = Connections(
        log_in,
        lambda: _storage(settings, env),
        lambda: open_warehouse(settings.warehouse_url),
        lambda: settings.hash_key.get_secret_value() if settings.hash_key else None,
    )
    return Org(name, catalog, settings, connections)


def _storage(settings: Settings, env: Mapping[str, str]) -> Store:
    access = Access(
        settings.storage_endpoint,
        settings.storage_region,
        settings.storage_kms_key,
        settings.storage_class,
        variables=env,
    )
    return Store(settings.storage_url, access)
