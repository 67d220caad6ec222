"""One org of the catalogue with everything that belongs to it: connection, raw, warehouse."""

import itertools
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TypeVar

from sf_assets.catalog import Catalog
from sf_assets.catalog_file import load_catalog
from sf_assets.errors import (
    ConfigError,
    OrgUnreachableError,
    SalesforceError,
    SfAssetsError,
    WarehouseError,
    WrongOrgError,
)
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

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Connections:
    """The places between which an org's data moves. Each is opened when it is first used.

    Attributes:
        salesforce: Logs in to the org.
        storage: Opens the storage of raw.
        warehouses: Opens each warehouse of silver and gold, by name; of the first the same is
            called in Dagster as where there is only one.
        hash_key: Tells the key of the hashes of fields in them; None where there is none.
    """

    salesforce: Callable[[], Client]
    storage: Callable[[], Store]
    warehouses: Mapping[str, Callable[[], Warehouse]]
    hash_key: Callable[[], str | None] = lambda: None


def _once(make: "Callable[[Org], _Value]") -> "cached_property[_Value]":
    """What an org has once, whichever of its warehouses is looked at."""

    def value(org: "Org") -> _Value:
        if org.place:
            found: _Value = getattr(org._first, make.__name__)  # noqa: SLF001 (its own class)
            return found
        return make(org)

    value.__doc__ = make.__doc__
    return cached_property(value)


class Org:
    """One org of the catalogue, connected, with one of its warehouses.

    Args:
        name: As the catalogue calls it; `ONLY` when it names none.
        catalog: The catalogue.
        settings: How it is read.
        connections: Where its data comes from and goes to; each is called once at most.
        first: The same org with its first warehouse; None where that is this.
        place: Name of the warehouse; empty for the first.
    """

    def __init__(
        self,
        name: str,
        catalog: Catalog,
        settings: ReadingSettings,
        connections: Connections,
        *,
        first: "Org | None" = None,
        place: str = "",
    ) -> None:
        self.name = name
        self.catalog = catalog
        self.settings = settings
        self.place = place
        self._connections = connections
        self._first = first or self
        self._lock = threading.RLock()

    @cached_property
    def places(self) -> "tuple[Org, ...]":
        """The org with each of its warehouses, the first first: connected once, read once."""
        _, *others = self._connections.warehouses
        some = (self.catalog, self.settings, self._connections)
        return self, *(Org(self.name, *some, first=self, place=place) for place in others)

    def readable(self) -> "Org":
        """The org with the first of its warehouses that can be read now; as it is if none can."""
        for place in self.places if len(self.places) > 1 else ():
            with suppress(WarehouseError):
                if place.warehouse.exists():
                    with place.reading(self.stored_raw.org_id, wait=False):
                        return place
        return self

    @property
    def warehouse_name(self) -> str:
        """What the warehouse is called, also if it is the first."""
        return self.place or next(iter(self._connections.warehouses))

    @property
    def schema(self) -> str:
        """Schema of its silver tables."""
        return silver_name(self.name)

    @property
    def gold(self) -> str:
        """Schema of its gold tables."""
        return gold_name(self.name)

    @_once
    def client(self) -> Client:
        """The connection; the first use logs in."""
        with self._lock, variables_of(self.name):
            client = self._connections.salesforce()
        client.session.org_name = self.name
        return client

    def now(self) -> datetime:
        """The org's present, by its own clock once it has been asked anything; UTC."""
        return self.client.now() if self.is_connected else datetime.now(UTC)

    @property
    def is_connected(self) -> bool:
        """Whether the org was asked anything."""
        return "client" in self._first.__dict__

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

    @_once
    def user(self) -> str:
        """Name of the user whose permissions decide what we see; the org is asked once."""
        try:
            return str(self.client.rest.user()["preferred_username"])
        except (SalesforceError, KeyError):
            return "the user of these credentials"

    @_once
    def storage(self) -> Store:
        """The storage of raw."""
        return self._connections.storage()

    @_once
    def raw(self) -> RawLayer:
        """The raw layer, claimed for the org that the credentials lead to.

        Raises:
            WrongOrgError: The storage holds another org's, or this one's under another name.
        """
        for other in itertools.takewhile(lambda name: name != self.name, self.catalog.orgs):
            if owner_of(self.storage, other) == self.client.org_id:
                raise WrongOrgError(
                    f"{other} and {self.name} lead to one org, {self.client.org_id}; correct the "
                    f"credentials of {self.name}, or take it out of the catalogue"
                )
        raw = open_raw(self.storage, self.client.org_id, self.name)
        raw.late = self.settings.late
        if told := last_usage(raw):
            self.client.session.clock.recall(told.at)
            self.client.budget.recall(told.used, told.allowed, told.at)
        return raw

    @_once
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
        return self._connections.warehouses[self.warehouse_name]()

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
    _refuse_wrong_addresses(settings)
    return [org_of_environment(name, catalog, settings, env) for name in catalog.orgs or (ONLY,)]


def _refuse_wrong_addresses(settings: Settings) -> None:
    """Refuse what no warehouse can be at before anything is done for another.

    Raises:
        ConfigError: An address is of no engine there is, or what it needs is not installed.
    """
    for name, address in settings.warehouses.items():
        try:
            open_warehouse(address)  # it is not connected to before it is used
        except ConfigError as error:
            raise ConfigError(f"SF_ASSETS_WAREHOUSES, {name}: {error}") from None


def org_of_environment(
    name: str, catalog: Catalog, settings: Settings, env: Mapping[str, str]
) -> Org:
    """An org whose credentials are in the environment.

    Args:
        name: Its name.
        catalog: The catalogue of all orgs.
        settings: What is set.
        env: The environment.
    """
    own = catalog.for_org(name)
    reading = (
        settings
        if own.api_reserve_percent is None
        else settings.model_copy(update={"api_reserve_percent": own.api_reserve_percent})
    )

    def log_in() -> Client:
        return connect(load_credentials(env, name), reading.api_reserve_percent)

    connections = Connections(
        log_in,
        lambda: _storage(settings, env),
        {name: partial(open_warehouse, url) for name, url in settings.addresses.items()},
        lambda: settings.hash_key.get_secret_value() if settings.hash_key else None,
    )
    return Org(name, own, reading, connections)


def _storage(settings: Settings, env: Mapping[str, str]) -> Store:
    access = Access(
        settings.storage_endpoint,
        settings.storage_region,
        settings.storage_kms_key,
        settings.storage_class,
        variables=env,
    )
    return Store(settings.storage_url, access)
