"""What names mean in a query: the object, its parents as joins, formulas, compound parts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sf_assets.emulator.errors import not_queryable
from sf_assets.emulator.schema import Field, Schema, SObject
from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.source import Source
from sf_assets.emulator.store import quoted

_MOST_PARENTS = 5
_NO_FIELD = (
    "No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be"
    " sure to append the '__c' after the custom field name. Please reference your WSDL or the"
    " describe call for the appropriate names."
)
_NO_PARENT = (
    "Didn't understand relationship '{name}' in field path. If you are attempting to use a custom"
    " relationship, be sure to append the '__r' after the custom relationship name. Please"
    " reference your WSDL or the describe call for the appropriate names."
)
# Fields that a parent of several possible types shows: those of the object called Name.
_NAME_FIELDS = {
    name.lower(): name
    for name in (
        "Id", "Name", "Type", "FirstName", "LastName", "Title", "Email", "Phone", "Username",
        "Alias", "IsActive", "ProfileId", "UserRoleId", "RecordTypeId",
    )
}  # fmt: skip
_ADDRESS_PARTS = (
    "City", "Country", "GeocodeAccuracy", "Latitude", "Longitude", "PostalCode", "State", "Street",
    "CountryCode", "StateCode",
)  # fmt: skip
_FORMULA_NAMES = re.compile(
    r"'(?:[^']|'')*'|\bt\.(?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
    r"|\b(?P<day>today\s*\(\s*\)|current_date\b(?:\s*\(\s*\))?)"
    r"|\b(?P<moment>now\s*\(\s*\)|current_timestamp\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Column:
    """A field as a query reaches it.

    Attributes:
        field: Its describe.
        entity: Name of the object that has it; `Name` behind a polymorphic parent.
        path: Relationship names and the field's name, in the case of the describe.
        sql: Expression for its value; empty for a compound field.
        parts: Of a compound field, its parts by the name they have in JSON.
    """

    field: Field
    entity: str
    path: tuple[str, ...]
    sql: str
    parts: "tuple[tuple[str, Column], ...]" = ()


@dataclass
class Table:
    """The object of a query, or a parent joined to it.

    Attributes:
        targets: The object, or all objects that a polymorphic reference may point at.
        polymorphic: Whether it shows only the fields that all named things share.
        path: Relationship names that lead here.
        alias: Its name in SQL.
        key: Expression of the reference that leads here; empty for the root.
    """

    targets: list[SObject]
    polymorphic: bool
    path: tuple[str, ...]
    alias: str
    key: str = ""
    parents: "dict[tuple[object, ...], Table]" = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)

    @property
    def entity(self) -> str:
        """Name of the object; `Name` when there may be several."""
        return "Name" if self.polymorphic else self.targets[0].name

    def joined(self) -> Iterator["Table"]:
        """This table's parents, their parents, and so on."""
        for parent in self.parents.values():
            yield parent
            yield from parent.joined()


class Scope:
    """The tables of one query and the columns that it has used of them.

    Args:
        schema: All objects of the org.
        sobject: The object after FROM.
        source: Text of the query, for errors.
        now: The org's present, for formulas that depend on the day.
        own_names: Alias and name of the object, which may stand before its fields.
        prefix: Begins all aliases in SQL, so that nested queries do not clash.
    """

    def __init__(
        self,
        schema: Schema,
        sobject: SObject,
        source: Source,
        now: datetime,
        *,
        own_names: tuple[str, ...] = (),
        prefix: str = "t",
    ) -> None:
        self.schema = schema
        self.source = source
        self.now = now
        self.prefix = prefix
        self._own_names = {n.lower() for n in own_names}
        self.root = Table([sobject], polymorphic=False, path=(), alias=prefix)

    @property
    def sobject(self) -> SObject:
        """The object after FROM."""
        return self.root.targets[0]

    def column(self, reference: nodes.FieldRef) -> Column:
        """The column that a field name in the query means.

        Raises:
            ApiError: INVALID_FIELD for an unknown field or relationship.
        """
        path = reference.path
        is_own = len(path) > 1 and path[0].lower() in self._own_names
        if is_own and path[0].lower() not in self.sobject.parents:
            path = path[1:]
        try:
            return self._column(self.root, path)
        except LookupError as error:
            message = str(error.args[0])
            raise self.source.error("INVALID_FIELD", message, reference.position) from None

    def stored(self, name: str) -> str | None:
        """SQL of a field of the object itself, or None if the object has no such field."""
        found = self.sobject.field(name)
        return f"{self.root.alias}.{quoted(found.name)}" if found else None

    def from_sql(self) -> str:
        """`table AS t LEFT JOIN …` for the object and the parents used so far."""
        parts = [f"{self.sobject.rows_sql} AS {self.root.alias}"]
        for table in self.root.joined():
            source = self._union(table) if table.polymorphic else table.targets[0].rows_sql
            parts.append(f'LEFT JOIN {source} AS {table.alias} ON {table.alias}."Id" = {table.key}')
        return " ".join(parts)

    def parent_table(self, path: tuple[str, ...]) -> Table:
        """The table of a parent that a column of the query has already reached."""
        table = self.root
        for name in path:
            table = self._parent(table, name)
        return table

    def _column(self, table: Table, path: tuple[str, ...], *, system: bool = False) -> Column:
        """The column at a path; `system` is what formulas see: everything, whoever asks."""
        if len(path) - 1 + len(table.path) > _MOST_PARENTS:
            raise LookupError(
                "SOQL relationship queries may not have more than 5 levels of parents"
            )
        for name in path[:-1]:
            table = self._parent(table, name, system=system)
        if table.polymorphic:
            return self._name_column(table, path[-1])
        return self._own(table, path, system=system)

    def _own(self, table: Table, path: tuple[str, ...], *, system: bool = False) -> Column:
        sobject = table.targets[0].whole if system else table.targets[0]
        found = sobject.field(path[-1])
        if found is None:
            raise LookupError(_NO_FIELD.format(name=path[-1], entity=sobject.name))
        parts: tuple[tuple[str, Column], ...] = ()
        if found.formula is not None:
            sql = self._formula(table, found.formula)
        elif found.stored:
            sql = f"{table.alias}.{quoted(found.name)}"
        else:
            sql = ""
            parts = tuple(
                (key, self._own(table, (part.name,), system=system))
                for key, part in compound_parts(sobject, found)
            )
        return Column(found, sobject.name, (*table.path, found.name), sql, parts)

    def _name_column(self, table: Table, name: str) -> Column:
        canonical = _NAME_FIELDS.get(name.lower())
        if canonical is None:
            raise LookupError(_NO_FIELD.format(name=name, entity="Name"))
        table.used[canonical] = None
        examples = (target.field(canonical) for target in table.targets)
        example = next((f for f in examples if f is not None and canonical != "Type"), None)
        document: dict[str, Any] = dict(example.document) if example else _name_document(canonical)
        document["name"] = canonical
        sql = f"{table.alias}.{quoted(canonical)}"
        return Column(Field(document), "Name", (*table.path, canonical), sql)

    def _parent(self, table: Table, name: str, *, system: bool = False) -> Table:
        child = table.targets[0].whole if system else table.targets[0]
        schema = self.schema.whole if system else self.schema
        reference = (
            _shared_parent(table, name) if table.polymorphic else child.parents.get(name.lower())
        )
        targets = [t for n in reference.reference_to if (t := schema.get(n))] if reference else []
        if reference is None or not targets:
            raise LookupError(_NO_PARENT.format(name=name))
        # A formula may need another join than the user's own path: one that hides no rows.
        key = (name.lower(), *map(id, targets))
        if (known := table.parents.get(key)) is not None:
            return known
        polymorphic = bool(reference.document["namePointing"]) or len(reference.reference_to) > 1
        parent = Table(
            targets,
            polymorphic,
            (*table.path, str(reference.relationship_name)),
            f"{self.prefix}_{1 + sum(1 for _ in self.root.joined())}",
            f"{table.alias}.{quoted(reference.name)}",
        )
        table.parents[key] = parent
        if table.polymorphic:
            table.used[reference.name] = None
        return parent

    def _union(self, table: Table) -> str:
        """The rows that a polymorphic reference may point at, with the fields that were used."""
        selects = []
        for target in table.targets:
            scope = Scope(self.schema, target, self.source, self.now, prefix=f"{table.alias}n")
            names = [name for name in table.used if name != "Id"]
            shown = "".join(f", {scope.shown(name)} AS {quoted(name)}" for name in names)
            key = f'{scope.root.alias}."Id"'
            selects.append(
                f"SELECT {key}, '{target.name}' AS \"_object\"{shown} FROM {scope.from_sql()}"
            )
        return f"({' UNION ALL '.join(selects)})"

    def shown(self, name: str) -> str:
        """SQL of a field that all named things share; null where this object lacks it."""
        if name == "Type":
            return f"'{self.sobject.name}'"
        found = name_field(self.sobject) if name == "Name" else self.sobject.field(name)
        return self._own(self.root, (found.name,)).sql if found else "NULL"

    def _formula(self, table: Table, formula: str) -> str:
        """A formula with the names in it replaced; `t` is the formula's own record."""

        def replace(match: re.Match[str]) -> str:
            if match["path"]:
                path = tuple(match["path"].split("."))
                return self._column(table, path, system=True).sql
            if match["day"]:
                return f"DATE '{self.now:%Y-%m-%d}'"
            if match["moment"]:
                return f"TIMESTAMP '{self.now:%Y-%m-%d %H:%M:%S}'"
            return match[0]

        return f"({_FORMULA_NAMES.sub(replace, formula)})"


def _shared_parent(table: Table, name: str) -> Field | None:
    """The reference to a parent, such as a user's role, that the object called Name has, too."""
    found = (target.parents.get(name.lower()) for target in table.targets)
    return next((f for f in found if f and f.name.lower() in _NAME_FIELDS), None)


def compound_parts(sobject: SObject, compound: Field) -> list[tuple[str, Field]]:
    """Parts of an address or a location, by the name they have in JSON and in that order."""
    wanted = ("Latitude", "Longitude") if compound.type == "location" else _ADDRESS_PARTS
    parts = {}
    for part in sobject.fields.values():
        if part.document["compoundFieldName"] == compound.name and part.name != compound.name:
            name = part.name.removesuffix("__s")
            suffix = next((w for w in wanted if name.endswith(w)), None)
            if suffix:
                parts[suffix] = part
    return [(w[0].lower() + w[1:], parts[w]) for w in wanted if w in parts]


def name_field(sobject: SObject) -> Field | None:
    """The field that holds a record's name: `CaseNumber` of a case."""
    return next((f for f in sobject.fields.values() if f.document["nameField"]), None)


def require_object(schema: Schema, source: Source, name: str, position: int) -> SObject:
    """The object of that name.

    Raises:
        ApiError: INVALID_TYPE when the org has no such object, INVALID_TYPE_FOR_OPERATION when it
            cannot be queried.
    """
    found = schema.get(name)
    if found is None:
        message = (
            f"sObject type '{name}' is not supported. If you are attempting to use a custom object,"
            " be sure to append the '__c' after the entity name. Please reference your WSDL or the"
            " describe call for the appropriate names."
        )
        raise source.error("INVALID_TYPE", message, position)
    if not found.document.get("queryable", True):
        raise not_queryable(found.name)
    return found


def _name_document(name: str) -> dict[str, Any]:
    """Describe of a field of the object Name that none of the targets has."""
    return {
        "name": name,
        "label": name,
        "type": "boolean" if name == "IsActive" else "string",
        "referenceTo": [],
        "relationshipName": None,
        "picklistValues": [],
        "filterable": True,
        "sortable": True,
        "groupable": True,
        "aggregatable": True,
        "caseSensitive": False,
        "custom": False,
    }
