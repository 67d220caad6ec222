"""The checks that every object has; those of silver, with what answers them.

What answers those of raw, and those that ask the org, are steps of the pipeline.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from sf_assets.checks.check import Described, Facts, Finding, Subject, TableColumn
from sf_assets.checks.of_rows import dangling, unlisted

"""Of a column whose field the catalogue, or its query, leaves out by now."""

_PICKLISTS = frozenset({"picklist", "multipicklist"})  # a combobox takes any text


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A check that a step of the pipeline answers.

    Attributes:
        asks: What must hold.
        remedy: What to do where it does not; empty where the next run sees to it.
    """

    asks: str
    remedy: str = ""


RAW_CHECKS = {
    "ledger": BuiltIn("Every row that the org announced was read and written, slice by slice."),
    "coverage": BuiltIn("The windows extracted leave no gap before the watermark."),
    "freshness": BuiltIn("The watermark is recent; an idle object is fresh, too."),
}
ORG_CHECKS = {
    "derived": BuiltIn(
        "A sample of rows says what the org says, also where no stamp tells of a change.",
        "read these fields again: sf-assets refresh --derived",
    ),
    "reconciled": BuiltIn(
        "The org, silver and raw, replayed, hold the same records in the same versions.",
        "see which records differ, and repair them: sf-assets reconcile --repair",
    ),
}
"""Of silver, asked of the org at the cost of calls: once a day, not whenever a table is loaded."""


class SilverCheck(ABC):
    """A check of every table of silver.

    Attributes:
        name: What it is called.
        asks: What must hold.
        remedy: What to do where it does not.
        severe: Whether a failure is an error.
        of_others: False; `references` is asked so of all objects, and a day is soon enough.
        good_for: None: an answer counts until something is loaded.
    """

    name: str
    asks: str
    remedy: str
    severe = False
    of_others = False
    good_for = None

    def definition(self, _: Described) -> str:
        """Nothing: what it asks is said by its name."""
        return ""

    @abstractmethod
    def ask(self, table: Subject) -> Finding:
        """Ask it of an object that has a table."""


class _ByColumn(SilverCheck):
    """A check that passes where no column has offenders."""

    def ask(self, table: Subject) -> Finding:
        """Ask it of an object that has a table."""
        found = self.offenders(table)
        total = sum(found.values())
        return Finding(table.slug, self.name, not total, self.severe, {**found}, total)

    @abstractmethod
    def offenders(self, table: Subject) -> Mapping[str, int]:
        """How many rows or values offend, by column; only columns with any."""


class _ByField(_ByColumn):
    """A check of the fields of one kind, each by the rows that meet a condition."""

    def offenders(self, table: Subject) -> Mapping[str, int]:
        """How many live rows offend, by column."""
        names = [field.name for field in table.info.exportable] if table.info else []
        counts = {
            name: table.count(table.ids(condition))
            for name in names
            if name in table.columns
            and name not in table.treated
            and not table.stale(name)
            and (condition := self.offence(table.column(name)))
        }
        return {name: count for name, count in counts.items() if count}

    @abstractmethod
    def offence(self, column: TableColumn) -> str:
        """The condition that a row t meets which offends; empty where the field is another kind."""


class Ids(SilverCheck):
    """No two rows are one record."""

    name = "ids"
    asks = "Every row has an Id, and no two the same."
    remedy = "make the table anew from raw: sf-assets rebuild"
    severe = True

    def ask(self, table: Subject) -> Finding:
        """Ask it of all rows, deleted ones among them."""
        every = table.silver.table(table.slug)
        bad = int(table.value(f'SELECT count(*) - count(DISTINCT "Id") FROM {every}'))
        facts: Facts = {"offenders": bad, "live rows": table.rows}
        return Finding(table.slug, self.name, not bad, self.severe, facts, bad)


class Rejects(_ByColumn):
    """No value was rejected."""

    name = "rejects"
    asks = "Every value could be typed by the org's describe."
    remedy = "see silver.<object>_rejects, and correct these values in Salesforce"

    def offenders(self, table: Subject) -> Mapping[str, int]:
        """How many values there are whose last version could not be typed, by column."""
        found: dict[str, int] = {}
        for rejects in table.silver.rejects(table.slug):
            query = f'SELECT "column", count(*) FROM {rejects} GROUP BY "column"'
            found |= dict(table.silver.select(query))
        return found


class References(_ByField):
    """References lead to records, be they deleted; declared checks ask for live ones."""

    name = "references"
    asks = "Every reference leads to a record, where its object is in silver."
    remedy = "point the fields at records that are there, or undelete those"

    def offence(self, column: TableColumn) -> str:
        """No record has it; nothing can be said where it may lead to what is not in silver."""
        targets = column.field.reference_to if column.field else ()
        if not targets or not all(map(column.table.has, targets)):
            return ""
        tables = [column.table.silver.table(target.lower()) for target in targets]
        return dangling(column, tables)


class Picklists(_ByField):
    """Picklists hold what describe lists."""

    name = "picklists"
    asks = "Every picklist value is one that describe lists."
    remedy = "correct the values that describe does not list, or add them to their picklists"

    def offence(self, column: TableColumn) -> str:
        """A value is not listed."""
        field = column.field
        listed = field.picklist if field and field.type in _PICKLISTS else ()
        return unlisted(column, listed) if listed else ""


class Schema(SilverCheck):
    """No column keeps what was last known, because its field is not read any more."""

    name = "schema"
    asks = "Every column's field is still there, and is read."
    remedy = (
        "let the user read these fields again, or leave them out in the catalogue; of those left "
        "out, sf-assets rebuild removes the column"
    )

    def ask(self, table: Subject) -> Finding:
        """Ask it of the columns there are."""
        info = table.info
        described = {name: info and info.field(name) for name in table.columns}
        facts: Facts = {
            field.name if field else name: why  # as describe spells it; a table may not
            for name, field in described.items()
            if (why := table.stale(name))
        }
        if info and info.gone:
            facts = {info.name: str(info.gone)}
        return Finding(table.slug, self.name, not facts, self.severe, facts)


SILVER_CHECKS: dict[str, SilverCheck] = {
    check.name: check for check in (Ids(), Rejects(), References(), Picklists(), Schema())
}
