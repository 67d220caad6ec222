"""The catalogue: which objects of which orgs are assets, and how.

`catalog_file` reads it.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from sf_assets.checks.builtin import SILVER_CHECKS
from sf_assets.checks.check import Check
from sf_assets.checks.declared import Declared
from sf_assets.checks.expectation import Expectation
from sf_assets.errors import ConfigError
from sf_assets.naming import UNITED, ApiName, folded, silver_name
from sf_assets.privacy import Treatment
from sf_assets.timetable import Times, parse_times
from sf_assets.windows import Grain

PACKAGED = Path(__file__).parent / "catalog.yaml"
PACKAGED_GOLD = Path(__file__).parent / "gold"

_OWNER = re.compile(  # Dagster's own rule
    r"team:.+|\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Z|a-z]{2,7}\b", re.DOTALL
)
_TAG_KEY = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")
_RESERVED_TAGS = ("dagster/", "salesforce/")
_FIRST_START = date(1999, 1, 1)  # Salesforce has no older stamps


def _owner(name: str) -> str:
    if not _OWNER.fullmatch(name):
        raise ValueError("Dagster takes `team:name` or an e-mail address")
    return name


def _tag_key(key: str) -> str:
    if not _TAG_KEY.fullmatch(key) or key.startswith(_RESERVED_TAGS):
        raise ValueError(
            "Dagster takes up to 63 letters, digits, `_`, `-` and `.`, before which a name of that "
            "kind and `/` may stand, which is not `dagster/` or `salesforce/`"
        )
    return key


def _tag_value(value: str) -> str:
    if not _TAG_VALUE.fullmatch(value):
        raise ValueError("Dagster takes up to 63 letters, digits, `_`, `-` and `.`")
    return value


def checked_start(day: date) -> date:
    """The day of a first partition.

    Raises:
        ValueError: Dagster's partitions cannot begin there, or it has not come yet.
    """
    if not _FIRST_START <= day <= datetime.now(UTC).date():
        raise ValueError(f"the first partition lies between {_FIRST_START} and today")
    return day


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise ValueError(f"there is no time zone {name!r}; write one as `Europe/Berlin`") from None
    return name


def _org_name(name: str) -> str:
    if silver_name(name) == UNITED:
        raise ValueError(f"{UNITED} is where the tables of all orgs are seen together")
    return name


OrgName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$"), AfterValidator(_org_name)]
Owner = Annotated[str, AfterValidator(_owner)]
FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$")]
Days = Annotated[int, Field(ge=1, le=36_500)]
Category = Annotated[str, Field(min_length=1)]
TagKey = Annotated[str, AfterValidator(_tag_key)]
TagValue = Annotated[str, AfterValidator(_tag_value)]
Start = Annotated[date, AfterValidator(checked_start)]
Recurring = Annotated[Times, BeforeValidator(parse_times)]
Zone = Annotated[str, AfterValidator(_zone)]

START = date(2025, 1, 1)
REFRESH, DERIVED = parse_times("every 5 minutes"), parse_times("at 05:00")


class ObjectSpec(BaseModel):
    """One object of the catalogue.

    Attributes:
        name: API name, such as `Account` or `Invoice__c`.
        grain: How its rows are cut into partitions.
        start: First partition; the first one holds everything before it, too.
        refresh: When its schedule looks for changes.
        derived: When its derived fields are read again where they have drifted.
        fields: API names to export; None for all that the user may read.
        exclude: API names not to export.
        privacy: What is done to fields, or parents' fields, on their way to silver.
        retention_days: For how many days raw keeps versions that others took the place of; None for
            ever.
        history: Whether every version read is kept in the warehouse, as `silver.<object>_history`.
        soql: File with the query that replaces the generated one.
        owners: Dagster owners: `team:name` or an e-mail address.
        tags: Dagster tags.
        checks: What is expected of its live rows.
        file: The catalogue that it is of.
        lines: Lines of the entries of `fields`, `exclude` and `privacy` there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ApiName
    grain: Grain
    start: Start
    refresh: Recurring = REFRESH
    derived: Recurring = DERIVED
    fields: tuple[ApiName, ...] | None = None
    exclude: tuple[ApiName, ...] = ()
    privacy: Mapping[FieldPath, Treatment] = {}
    retention_days: Days | None = None
    history: bool = False
    soql: Path | None = None
    owners: tuple[Owner, ...] = ()
    tags: Mapping[TagKey, TagValue] = {}
    checks: tuple[Declared, ...] = ()
    file: Path = PACKAGED
    lines: Mapping[str, tuple[int, ...]] = {}

    def place(self, setting: str, entry: int) -> str:
        """Where in which file an entry of one of its settings is, as the start of a message."""
        lines = self.lines.get(setting, ())
        line = f":{lines[entry]}" if entry < len(lines) else ""
        return f"{self.file}{line}: objects.{self.name}.{setting}"

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Its checks, each of which has a name of its own."""
        return tuple(one for declared in self.checks for one in declared.each())

    @property
    def silver_checks(self) -> dict[str, Check]:
        """The checks that its table answers, by name: those of every table, and its own."""
        own: dict[str, Check] = {check.name: check for check in self.expectations}
        return {**SILVER_CHECKS, **own}

    @property
    def slug(self) -> str:
        """Name in asset keys, folders and tables."""
        return folded(self.name)


class Catalog(BaseModel):
    """The whole catalogue.

    Attributes:
        path: The file it was read from.
        start: First partition of the objects that name none.
        grain: Grain of the objects that name none.
        refresh: When the objects that say no time are refreshed.
        derived: When derived fields of the objects that say no time are read again.
        daily_checks: When all checks are asked.
        timezone: Of all these times.
        owners: Owners of the objects that name none, and of the gold tables.
        privacy_defaults: What is done to fields that the org itself classifies so: by a category
            of compliance, such as `PII`, or a sensitivity, such as `Confidential`.
        api_reserve_percent: Share of the org's limits that is never used; None for what the
            environment says.
        retention_days: For how many days raw keeps old versions of the objects that say nothing.
        orgs: Names of the orgs; empty for the one org of the `SALESFORCE_*` variables.
        of_orgs: What holds for orgs of which the file says something of its own.
        known: Lower-cased names of all objects that it names for any org.
        queries: Files of all queries that it names for any org.
        gold: Folder of the gold `.sql` files.
        objects: The objects by API name, in the file's order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    start: Start = START
    grain: Grain = Grain.DAILY
    refresh: Recurring = REFRESH
    derived: Recurring = DERIVED
    daily_checks: Recurring = parse_times("at 06:00")
    timezone: Zone = "UTC"
    owners: tuple[Owner, ...] = ()
    privacy_defaults: Mapping[Category, Treatment] = {}
    api_reserve_percent: Annotated[int | None, Field(ge=0, lt=100)] = None
    retention_days: Days | None = None
    orgs: tuple[OrgName, ...] = ()
    of_orgs: Mapping[OrgName, "Catalog"] = {}
    known: frozenset[str] = frozenset()
    queries: frozenset[Path] = frozenset()
    gold: Path = PACKAGED_GOLD
    objects: Annotated[dict[ApiName, ObjectSpec], Field(min_length=1)]

    def for_org(self, name: str) -> "Catalog":
        """The catalogue as it holds for one org: its objects, times, start, gold and reserve.

        Args:
            name: Of the org; any where it names none.
        """
        return self.of_orgs.get(name, self)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of all times."""
        return ZoneInfo(self.timezone)

    @property
    def unread(self) -> tuple[Path, ...]:
        """Queries that lie where those of objects may lie, and that no object names."""
        own = (spec.soql for spec in self.objects.values() if spec.soql)
        named = {path.resolve() for path in (*own, *self.queries)}
        folders = {path.parent for path in named} | {self.path.parent.resolve()}
        found = {path for folder in folders for path in folder.glob("*.soql")}
        return tuple(sorted(found - named))

    @property
    def is_packaged(self) -> bool:
        """Whether it is the one in the package, which nobody wrote for this org."""
        return self.path == PACKAGED

    def having(self, names: Iterable[str]) -> list[str]:
        """Those of some objects, named in any case, that it has."""
        known = {spec.slug for spec in self.objects.values()}
        return [name for name in names if folded(name) in known]

    def select(self, names: Iterable[str]) -> tuple[ObjectSpec, ...]:
        """The objects of these names in any case; all of them when no name is given.

        Raises:
            ConfigError: A name is not in the catalogue.
        """
        known = {spec.slug: spec for spec in self.objects.values()}
        wanted = [folded(name) for name in names] or list(known)
        if unknown := [name for name in wanted if name not in known]:
            raise ConfigError(
                f"the catalogue {self.path} has no {', '.join(unknown)}; it has "
                f"{', '.join(self.objects)}"
            )
        return tuple(known[name] for name in wanted)
