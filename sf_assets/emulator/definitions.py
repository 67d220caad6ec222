"""`FieldDefinition` and `EntityDefinition`: what the user's describes say, as rows for SOQL.

Salesforce works their rows out when they are asked for, so a query of fields has to name their
object (`restrictions.py`). Here the rows are put into tables before each query by REST; describes
and Bulk jobs know neither object. Of the many columns that an org has there are those below. The
Id of an object is its name, by which its fields lead to it.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from sf_assets.emulator.administrator import Administrator
from sf_assets.emulator.metadata.fields import Spec, describe_field
from sf_assets.emulator.metadata.standard import DEFAULTS
from sf_assets.emulator.schema import Schema, SObject
from sf_assets.emulator.store import Store, append, quoted

_TEXT: Spec = {"type": "string", "length": 255}
_NUMBER: Spec = {"type": "int"}
_TRUTH: Spec = {"type": "boolean"}
_OBJECT = {"referenceTo": ["EntityDefinition"], "relationshipName": "EntityDefinition"}
_COMMON = dict.fromkeys(("Id", "DurableId", "QualifiedApiName", "DeveloperName", "Label"), _TEXT)
_COLUMNS: dict[str, dict[str, Spec]] = {
    "EntityDefinition": {
        **_COMMON, "PluralLabel": _TEXT, "KeyPrefix": _TEXT, "IsQueryable": _TRUTH,
        "IsRetrieveable": _TRUTH, "IsReplicateable": _TRUTH,
    },
    "FieldDefinition": {
        **_COMMON, "EntityDefinitionId": {**_TEXT, **_OBJECT}, "Length": _NUMBER,
        "Precision": _NUMBER, "Scale": _NUMBER, "IsCalculated": _TRUTH, "IsNillable": _TRUTH,
        "ComplianceGroup": _TEXT, "SecurityClassification": _TEXT,
    },
}  # fmt: skip
_TYPES = {"string": pa.string(), "int": pa.int64(), "boolean": pa.bool_()}


class Definitions:
    """The two objects of an org.

    Args:
        visible: The objects as the user sees them.
        admin: Knows how fields are classified.
        store: Gets their tables.
    """

    def __init__(self, visible: Schema, admin: Administrator, store: Store) -> None:
        self._visible, self._admin, self._store = visible, admin, store
        self._own = [_sobject(name, columns) for name, columns in _COLUMNS.items()]

    def schema(self) -> Schema:
        """All objects with these two, up to date; one that the org has itself stays as it is."""
        there = list(self._visible)
        own = [sobject for sobject in self._own if self._visible.get(sobject.name) is None]
        with self._store.writing, self._store.cursor() as cursor:
            self._store.add_objects(own)
            cursor.begin()
            for sobject in own:
                rows = self._objects() if sobject.name == "EntityDefinition" else self._fields()
                cursor.execute(f"DELETE FROM {quoted(sobject.name)}")
                append(cursor, sobject.name, pa.Table.from_pylist(list(rows), _schema(sobject)))
            cursor.commit()
        return Schema([*there, *own], whole=Schema([*self._visible.whole, *own]))

    def _objects(self) -> Iterator[dict[str, Any]]:
        for sobject in self._visible:
            document = sobject.document
            yield _named(sobject.name, sobject.name, document["label"]) | {
                "PluralLabel": document["labelPlural"],
                "KeyPrefix": document["keyPrefix"],
                "IsQueryable": document["queryable"],
                "IsRetrieveable": document["retrieveable"],
                "IsReplicateable": document["replicateable"],
            }

    def _fields(self) -> Iterator[dict[str, Any]]:
        """All fields but parts of addresses and of names of persons: their wholes are told."""
        for sobject in self._visible:
            classified = self._admin.classified(sobject.name)
            for field in sobject.document["fields"]:
                name = field["name"]
                if field["compoundFieldName"] not in {None, name}:
                    continue
                compliance, sensitivity = classified.get(name, (None, None))
                yield _named(f"{sobject.name}.{name}", name, field["label"]) | {
                    "EntityDefinitionId": sobject.name,
                    "Length": field["length"],
                    "Precision": field["precision"],
                    "Scale": field["scale"],
                    "IsCalculated": field["calculated"],
                    "IsNillable": field["nillable"],
                    "ComplianceGroup": compliance,
                    "SecurityClassification": sensitivity,
                }


def _named(durable_id: str, name: str, label: str) -> dict[str, Any]:
    return {
        "Id": durable_id,
        "DurableId": durable_id,
        "QualifiedApiName": name,
        "DeveloperName": name.removesuffix("__c"),
        "Label": label,
    }


def _sobject(name: str, columns: dict[str, Spec]) -> SObject:
    fields = [describe_field(column, spec, {}) for column, spec in columns.items()]
    return SObject({**DEFAULTS, "name": name, "label": name, "fields": fields}, {})


def _schema(sobject: SObject) -> pa.Schema:
    return pa.schema([(field.name, _TYPES[field.type]) for field in sobject.fields.values()])
