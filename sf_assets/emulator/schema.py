"""What an org knows about its objects: describe documents, with names for the parts we use.

A describe document is kept as it is, whether it was recorded from a real org or expanded from our
own metadata; these classes only give its parts names.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

COMPOUND_TYPES = frozenset({"address", "location"})
NUMBER_TYPES = frozenset({"int", "long", "double", "currency", "percent"})


@dataclass(frozen=True)
class Field:
    """One field of an object.

    Attributes:
        document: The field's describe, 57 attributes.
        formula: For a field that is worked out when it is read, a DuckDB expression over the fields
            of its own record (alias `t`) and, by relationship name, of its parents
            (`t.Account__r.Name`). Subqueries find other objects as tables of their API names.
    """

    document: Mapping[str, Any]
    formula: str | None = None

    @property
    def name(self) -> str:
        """API name."""
        return str(self.document["name"])

    @property
    def type(self) -> str:
        """Salesforce type, as describe spells it: `string`, `currency`, `reference`."""
        return str(self.document["type"])

    @property
    def reference_to(self) -> tuple[str, ...]:
        """Names of the objects a reference may point at; several when it is polymorphic."""
        return tuple(self.document["referenceTo"])

    @property
    def relationship_name(self) -> str | None:
        """Name by which SOQL reaches the parent: `Owner` for `OwnerId`."""
        name: str | None = self.document["relationshipName"]
        return name

    @cached_property
    def picklist(self) -> tuple[str, ...]:
        """Values of the active picklist entries."""
        return tuple(v["value"] for v in self.document["picklistValues"] if v["active"])

    @property
    def stored(self) -> bool:
        """Whether the store has a column for it: neither a compound nor a formula."""
        return self.type not in COMPOUND_TYPES and self.formula is None


@dataclass(frozen=True)
class SObject:
    """One object of the org.

    Attributes:
        document: The full describe document.
        formulas: Expressions of its calculated fields, by field name.
        generated: Statement that computes its rows, which then are not stored; one column is
            `rowid`.
        hidden_rows: Condition on its stored columns, as SQL, that rows meet which the user does
            not see; None when he sees all.
        unrestricted: The object as the org itself knows it, when the user sees less of it.
    """

    document: Mapping[str, Any]
    formulas: Mapping[str, str]
    generated: str | None = None
    hidden_rows: str | None = None
    unrestricted: "SObject | None" = None

    @property
    def name(self) -> str:
        """API name."""
        return str(self.document["name"])

    @property
    def key_prefix(self) -> str | None:
        """First three characters of its records' Ids."""
        prefix: str | None = self.document["keyPrefix"]
        return prefix

    @property
    def whole(self) -> "SObject":
        """The object as the org itself knows it, which is how formulas see it."""
        return self.unrestricted or self

    @property
    def rows_sql(self) -> str:
        """What to read its records from, in SQL: its table, or the rows that the user sees."""
        table = '"' + self.name + '"'
        if self.hidden_rows is None:
            return table
        if self.generated is not None:
            return f"(SELECT * FROM {table} WHERE NOT ({self.hidden_rows}))"
        return f"(SELECT *, rowid FROM {table} WHERE NOT ({self.hidden_rows}))"

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """Fields by lower-cased name, in describe order."""
        return {
            doc["name"].lower(): Field(doc, self.formulas.get(doc["name"]))
            for doc in self.document["fields"]
        }

    def field(self, name: str) -> Field | None:
        """The field of that name, whatever its case, or None."""
        return self.fields.get(name.lower())

    @cached_property
    def parents(self) -> Mapping[str, Field]:
        """Reference fields by lower-cased relationship name."""
        return {f.relationship_name.lower(): f for f in self.fields.values() if f.relationship_name}


class Schema:
    """All objects of an org, found by name in any case.

    Args:
        objects: The objects.
        whole: The objects as the org itself knows them, when these are what the user sees.
    """

    def __init__(self, objects: Iterable[SObject], whole: "Schema | None" = None) -> None:
        self.whole = whole or self
        self.set_all(objects)

    def __iter__(self) -> Iterator[SObject]:
        return iter(self._objects.values())

    def get(self, name: str) -> SObject | None:
        """The object of that name, whatever its case, or None."""
        return self._objects.get(name.lower())

    def set_all(self, objects: Iterable[SObject]) -> None:
        """Have these objects in place of all others; who reads meanwhile has the old or the new."""
        self._objects = {o.name.lower(): o for o in objects}

    def put(self, sobject: SObject) -> None:
        """Have an object, in place of the one of that name if there is one."""
        self._objects = {**self._objects, sobject.name.lower(): sobject}

    def remove(self, name: str) -> None:
        """Have an object no longer."""
        self._objects = {n: o for n, o in self._objects.items() if n != name.lower()}
