"""What an administrator changes while the org runs: fields, objects, permissions, sharing.

`Emulator.admin` in process; over HTTP the same by the methods' names, as orders to `/_control`:

    {"action": "add_field", "object_name": "Account", "field": "New__c",
     "spec": {"type": "string", "length": 40}, "value": "old rows have this"}
    {"action": "change_field", "object_name": "Account", "field": "New__c",
     "spec": {"type": "double", "precision": 18, "scale": 2}}
    {"action": "delete_field", "object_name": "Account", "field": "New__c"}
    {"action": "respell_field", "object_name": "Account", "field": "New__c", "name": "NEW__c"}
    {"action": "respell_object", "object_name": "Showcase__c", "name": "ShowCase__c"}
    {"action": "hide_field", "object_name": "Account", "field": "Rating"}
    {"action": "show_field", "object_name": "Account", "field": "Rating"}
    {"action": "classify_field", "object_name": "Contact", "field": "Email",
     "compliance": "PII;GDPR", "sensitivity": "Confidential"}
    {"action": "hide_object", "object_name": "Campaign"}
    {"action": "show_object", "object_name": "Campaign"}
    {"action": "delete_object", "object_name": "Campaign"}
    {"action": "hide_rows", "object_name": "Account", "share": 0.3}
    {"action": "hide_rows", "object_name": "Account", "where": "Rating = 'Cold'"}
    {"action": "show_rows", "object_name": "Account"}

None of it moves a record's SystemModstamp; all but the rows and classifications move Last-Modified
of the object's describe. Changes of the schema are not kept in a store's file.
"""

import dataclasses
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.metadata.fields import Spec, describe_field
from sf_assets.emulator.respelling import respelt_field, respelt_object
from sf_assets.emulator.schema import Schema, SObject
from sf_assets.emulator.store import Store, column_type, quoted

T = TypeVar("T")
_BUCKETS = 10_000
_SECOND = timedelta(seconds=1)


class Administrator:
    """Changes what the org has, and what its user sees of it.

    A transaction that is open on an object meanwhile clashes with a change of its stored fields: it
    is refused when it commits. A Bulk job in the queue fails when it asks for a field that is gone.

    Args:
        everything: All objects, as the org knows them.
        visible: The same as the user sees them.
        store: Their records.
        clock: The org's clock.
        modified: When the describes were changed last before.

    Attributes:
        modified: When any describe was changed last.
    """

    def __init__(
        self, everything: Schema, visible: Schema, store: Store, clock: Clock, modified: datetime
    ) -> None:
        self.modified = modified
        self._everything = everything
        self._visible = visible
        self._store = store
        self._clock = clock
        self._began = modified
        self._changed: dict[str, datetime] = {}
        self._hidden_objects: set[str] = set()
        self._hidden_fields: dict[str, set[str]] = {}
        self._hidden_rows: dict[str, str] = {}
        self._classified: dict[str, dict[str, tuple[str | None, str | None]]] = {}
        self._lock = threading.RLock()

    def modified_at(self, object_name: str) -> datetime:
        """When the describe of one object was changed last."""
        return self._changed.get(object_name, self._began)

    def add_field(
        self, object_name: str, field: str, spec: Mapping[str, Any], value: Any = None
    ) -> None:
        """Add a field.

        Args:
            object_name: Object to get it.
            field: API name.
            spec: The field in the short form of the metadata: `type`, any attribute of describe by
                its own name, `values` of a picklist, and `formula` for one that is calculated. A
                reference gets no child relationship on its parent.
            value: What existing records have in it.

        Raises:
            ValueError: The object has such a field already, or it cannot be described.
        """
        with self._lock:
            sobject = self._object(object_name)
            if sobject.field(field) is not None:
                raise ValueError(f"{sobject.name} has a field {field} already")
            changed = _with_field(sobject, field, spec)
            self._store.add_objects([changed])
            added = changed.fields[field.lower()]
            if added.type == "boolean" and value is None:
                value = False
            if added.stored and value is not None:
                self._write(f"UPDATE {quoted(sobject.name)} SET {quoted(field)} = $value", value)
            self._replace(changed)

    def change_field(self, object_name: str, field: str, spec: Mapping[str, Any]) -> None:
        """Give a field another type, length or whatever else describe says of it.

        Values that the new type cannot hold become null.

        Args:
            object_name: Its object.
            field: API name.
            spec: The field in short form, in full: what is not said is as it is by default.

        Raises:
            ValueError: There is no such field, or it cannot be described.
        """
        with self._lock:
            sobject, name = self._existing(object_name, field)
            changed = _with_field(sobject, name, spec)
            if changed.fields[name.lower()].stored != sobject.fields[name.lower()].stored:
                raise ValueError(f"{name} cannot become a formula or cease to be one")
            if changed.fields[name.lower()].stored:
                kind = column_type(spec["type"])
                column = quoted(name)
                self._write(
                    f"ALTER TABLE {quoted(sobject.name)} ALTER COLUMN {column} TYPE {kind}"
                    f" USING try_cast({column} AS {kind})"
                )
            self._replace(changed)

    def delete_field(self, object_name: str, field: str) -> None:
        """Delete a field with all its values."""
        with self._lock:
            sobject, name = self._existing(object_name, field)
            kept = [f for f in sobject.document["fields"] if f["name"] != name]
            document = {**sobject.document, "fields": kept}
            self._replace(dataclasses.replace(sobject, document=document))
            if sobject.fields[name.lower()].stored:
                self._write(f"ALTER TABLE {quoted(sobject.name)} DROP COLUMN {quoted(name)}")

    def respell_field(self, object_name: str, field: str, name: str) -> None:
        """Change the case in which a field's API name is written, and that of its relationship.

        Raises:
            ValueError: The object has no such field, or the name is another one.
        """
        with self._lock:
            sobject, old = self._existing(object_name, field)
            changed = respelt_field(sobject, old, name)
            if sobject.fields[old.lower()].stored and sobject.generated is None:
                self._write(
                    f"ALTER TABLE {quoted(sobject.name)}"
                    f" RENAME COLUMN {quoted(old)} TO {quoted(name)}"
                )
            hidden = self._hidden_fields.get(sobject.name, set())
            if old in hidden:
                self._hidden_fields[sobject.name] = hidden - {old} | {name}
            self._replace(changed)

    def respell_object(self, object_name: str, name: str) -> None:
        """Change the case in which an object's API name is written, wherever it is.

        Raises:
            ValueError: There is no such object, it has no table, or the name is another one.
        """
        with self._lock:
            old = self._object(object_name)
            if old.generated is not None:
                raise ValueError(f"the rows of {old.name} are computed under that name")
            respelt = [respelt_object(sobject, old.name, name) for sobject in self._everything]
            self._write(f"ALTER TABLE {quoted(old.name)} RENAME TO {quoted(name)}")
            self._write(
                "UPDATE emulator.purged SET object = $value WHERE lower(object) = lower($value)",
                name,
            )
            _rename(self._hidden_fields, old.name, name)
            _rename(self._hidden_rows, old.name, name)
            _rename(self._changed, old.name, name)
            if old.name in self._hidden_objects:
                self._hidden_objects = self._hidden_objects - {old.name} | {name}
            self._everything.set_all(respelt)
            self._touch(name)

    def hide_field(self, object_name: str, field: str) -> None:
        """Take the permission to see a field away from the user (field-level security)."""
        with self._lock:
            sobject, name = self._existing(object_name, field)
            self._hidden_fields.setdefault(sobject.name, set()).add(name)
            self._touch(sobject.name)

    def show_field(self, object_name: str, field: str) -> None:
        """Let the user see a field again."""
        with self._lock:
            sobject, name = self._existing(object_name, field)
            self._hidden_fields.get(sobject.name, set()).discard(name)
            self._touch(sobject.name)

    def classify_field(
        self,
        object_name: str,
        field: str,
        compliance: str | None = None,
        sensitivity: str | None = None,
    ) -> None:
        """Say what kind of data a field holds (data classification).

        Args:
            object_name: Its object.
            field: API name.
            compliance: Categories, as in `PII;GDPR`.
            sensitivity: Level, as in `Confidential`.
        """
        with self._lock:
            sobject, name = self._existing(object_name, field)
            self._classified.setdefault(sobject.name, {})[name] = (compliance, sensitivity)

    def classified(self, object_name: str) -> dict[str, tuple[str | None, str | None]]:
        """Categories and level of the fields of an object that were classified, by name."""
        return self._classified.get(object_name, {})

    def hide_object(self, object_name: str) -> None:
        """Take the permission to see an object away from the user."""
        with self._lock:
            self._hidden_objects.add(self._object(object_name).name)
            self._touch(self._object(object_name).name)

    def show_object(self, object_name: str) -> None:
        """Let the user see an object again."""
        with self._lock:
            self._hidden_objects.discard(self._object(object_name).name)
            self._touch(self._object(object_name).name)

    def delete_object(self, object_name: str) -> None:
        """Remove an object for good; references to it stay, and lead nowhere."""
        with self._lock:
            sobject = self._object(object_name)
            self._everything.remove(sobject.name)
            self._hidden_objects.add(sobject.name)
            self._touch(sobject.name)

    def hide_rows(self, object_name: str, share: float = 1.0, where: str | None = None) -> None:
        """Keep some records from the user, as when they are not shared with him any more.

        Args:
            object_name: Their object.
            share: Which part of them, from 0 to 1; always the same records for the same share, and
                a larger share hides those of a smaller one too.
            where: Only of those that meet this condition, SQL over the stored columns.
        """
        with self._lock:
            sobject = self._object(object_name)
            hidden = f'hash("Id") % {_BUCKETS} < {round(share * _BUCKETS)}'
            if where is not None:
                hidden = f"{hidden} AND coalesce({where}, false)"
            self._hidden_rows[sobject.name] = hidden
            self._refresh()

    def show_rows(self, object_name: str) -> None:
        """Give the user all records of an object back."""
        with self._lock:
            self._hidden_rows.pop(self._object(object_name).name, None)
            self._refresh()

    def _object(self, name: str) -> SObject:
        sobject = self._everything.get(name)
        if sobject is None:
            raise ValueError(f"no such object: {name}")
        return sobject

    def _existing(self, object_name: str, field: str) -> tuple[SObject, str]:
        sobject = self._object(object_name)
        found = sobject.field(field)
        if found is None:
            raise ValueError(f"no such field: {sobject.name}.{field}")
        return sobject, found.name

    def _replace(self, sobject: SObject) -> None:
        self._everything.put(sobject)
        self._touch(sobject.name)

    def _write(self, sql: str, value: Any = None) -> None:
        with self._store.writing:
            self._store.rows(sql, {} if value is None else {"value": value})

    def _touch(self, name: str) -> None:
        """Remember that an object was changed: Last-Modified never stands still."""
        self.modified = max(self._clock.stamp(), self.modified + _SECOND)
        self._changed[name] = self.modified
        self._refresh()

    def _refresh(self) -> None:
        """Make what the user sees anew."""
        self._visible.set_all(
            self._shown(sobject)
            for sobject in self._everything
            if sobject.name not in self._hidden_objects
        )

    def _shown(self, sobject: SObject) -> SObject:
        """An object as the user sees it."""
        hidden = self._hidden_fields.get(sobject.name, set())
        rows = self._hidden_rows.get(sobject.name)
        children = [
            child
            for child in sobject.document["childRelationships"]
            if child["childSObject"] not in self._hidden_objects
            and child["field"] not in self._hidden_fields.get(child["childSObject"], ())
        ]
        if (
            not hidden
            and rows is None
            and len(children) == len(sobject.document["childRelationships"])
        ):
            return sobject
        fields = [f for f in sobject.document["fields"] if f["name"] not in hidden]
        document = {**sobject.document, "fields": fields, "childRelationships": children}
        return dataclasses.replace(
            sobject, document=document, hidden_rows=rows, unrestricted=sobject
        )


def _rename(kept: dict[str, T], old: str, new: str) -> None:
    """Keep under a new name what is kept under an old one."""
    if old in kept:
        kept[new] = kept.pop(old)


def _with_field(sobject: SObject, name: str, spec: Spec) -> SObject:
    """An object with a field added, or in place of the one of that name."""
    described = describe_field(name, spec, {})
    fields = [described if f["name"] == name else f for f in sobject.document["fields"]]
    if described not in fields:
        fields.append(described)
    formulas = {n: formula for n, formula in sobject.formulas.items() if n != name}
    if "formula" in spec:
        formulas[name] = spec["formula"]
    document = {**sobject.document, "fields": fields}
    changed = dataclasses.replace(sobject, document=document, formulas=formulas)
    if sobject.generated is not None and changed.fields[name.lower()].stored:
        raise ValueError(f"{name} cannot be stored: the rows of {sobject.name} are computed")
    return changed
