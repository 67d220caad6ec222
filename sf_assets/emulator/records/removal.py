"""Deleting, undeleting, purging and merging, with all that goes along."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.records.tables import Row, Tables
from sf_assets.emulator.schema import Schema, SObject
from sf_assets.emulator.store import quoted


@dataclass(frozen=True)
class Removed:
    """What became of one record that was to be deleted."""

    id: str | None
    error: ApiError | None = None


class Removal:
    """Removes records of any object.

    Args:
        schema: All objects; their child relationships say what goes along.
        tables: The rows as the transaction sees them.
    """

    def __init__(self, schema: Schema, tables: Tables) -> None:
        self._schema = schema
        self._tables = tables

    def delete(self, sobject: SObject, ids: Sequence[str], changed: Row) -> list[Removed]:
        """Mark records and their dependants as deleted; without a recycle bin they go at once.

        Args:
            sobject: Object of the records.
            ids: Their Ids, in 18 characters.
            changed: Stamps to set.
        """
        present = {row["Id"]: row for row in self._tables.rows(sobject, "Id", ids)}
        held = self._held(sobject, [i for i in ids if i in present])
        outcomes = []
        for key in ids:
            if key not in present:
                error = ApiError(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            elif present[key].get("IsDeleted"):
                error = ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")
            elif key in held:
                message = (
                    "Your attempt to delete the record could not be completed because it is"
                    f" associated with the following {held[key]}"
                )
                error = ApiError(400, "DELETE_FAILED", message)
            else:
                outcomes.append(Removed(key))
                continue
            outcomes.append(Removed(key, error))
        gone = [o.id for o in outcomes if o.id is not None and o.error is None]
        self._mark(sobject, gone, {"IsDeleted": True, **changed})
        return outcomes

    def undelete(self, sobject: SObject, ids: Sequence[str], changed: Row) -> None:
        """Restore records and what was deleted together with them, known by the same stamp.

        Raises:
            ApiError: UNDELETE_FAILED for a record that is not in the recycle bin.
        """
        rows = self._tables.rows(sobject, "Id", ids)
        if len(rows) != len(set(ids)) or not all(row.get("IsDeleted") for row in rows):
            raise ApiError(400, "UNDELETE_FAILED", "Entity is not in the recycle bin")
        for row in rows:
            for child, field in self._children(sobject, "cascadeDelete"):
                together = self._deleted_with(child, field, row)
                if together:
                    self.undelete(child, together, changed)
        self._set(sobject, ids, {"IsDeleted": False, **changed})

    def purge(self, sobject: SObject, ids: Sequence[str], now: datetime) -> None:
        """Remove rows for good, and remember when, for the list of deleted records."""
        if not ids:
            return
        for child, field in self._children(sobject, "cascadeDelete"):
            keys = [row["Id"] for row in self._tables.rows(child, field, ids)]
            self.purge(child, keys, now)
        table = quoted(sobject.name)
        stamp = deletion_stamp(sobject)
        when = f'if("IsDeleted", coalesce({quoted(stamp)}, $now), $now)' if stamp else "$now"
        self._tables.execute(
            f'INSERT INTO emulator.purged SELECT $object, "Id", {when} FROM {table}'
            ' WHERE "Id" IN (SELECT unnest($ids))',
            {"object": sobject.name, "now": now, "ids": list(ids)},
        )
        self._tables.execute(
            f'DELETE FROM {table} WHERE "Id" IN (SELECT unnest($ids))', {"ids": list(ids)}
        )

    def merge(self, sobject: SObject, master_id: str, loser_id: str, changed: Row) -> None:
        """Give the children of one record to another, and delete the first.

        Raises:
            ApiError: INVALID_CROSS_REFERENCE_KEY or ENTITY_IS_DELETED for either record.
        """
        rows = self._tables.rows(sobject, "Id", [master_id, loser_id])
        if master_id == loser_id or len(rows) != len((master_id, loser_id)):
            raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if any(row.get("IsDeleted") for row in rows):
            raise ApiError(400, "ENTITY_IS_DELETED", "entity is deleted")
        for child, field in self._children(sobject, None):
            keys = [
                row["Id"]
                for row in self._tables.rows(child, field, [loser_id])
                if not row.get("IsDeleted")
            ]
            # A record does not become its own parent.
            self._set(child, [k for k in keys if k != master_id], {field: master_id, **changed})
            self._set(child, [k for k in keys if k == master_id], {field: None, **changed})
        self._set(sobject, [loser_id], {"IsDeleted": True, "MasterRecordId": master_id, **changed})
        self._set(sobject, [master_id], changed)

    def _children(self, sobject: SObject, flag: str | None) -> Iterator[tuple[SObject, str]]:
        """Objects with a stored reference to this one, if the relationship has the flag."""
        for relationship in sobject.document["childRelationships"]:
            child = self._schema.get(relationship["childSObject"])
            field = child.field(relationship["field"]) if child else None
            chosen = flag is None or relationship[flag]
            if child is not None and field is not None and field.stored and chosen:
                yield child, field.name

    def _held(self, sobject: SObject, ids: Sequence[str]) -> dict[str, str]:
        """Records that live children keep from being deleted, with the label of the children."""
        held: dict[str, str] = {}
        for child, field in self._children(sobject, "restrictedDelete"):
            label = str(child.document["labelPlural"]).lower()
            for row in self._tables.rows(child, field, ids):
                if not row.get("IsDeleted"):
                    held[row[field]] = label
        return held

    def _mark(self, sobject: SObject, ids: Sequence[str], values: Row) -> None:
        """Delete records and, before them, the children that do not outlive them."""
        if not ids:
            return
        for child, field in self._children(sobject, "cascadeDelete"):
            live = [r["Id"] for r in self._tables.rows(child, field, ids) if not r.get("IsDeleted")]
            self._mark(child, live, values)
        if sobject.field("IsDeleted") is None:
            self.purge(sobject, ids, values["SystemModstamp"])
        else:
            self._set(sobject, ids, values)

    def _deleted_with(self, child: SObject, field: str, parent: Mapping[str, Any]) -> list[str]:
        stamp = deletion_stamp(child)
        return [
            row["Id"]
            for row in self._tables.rows(child, field, [parent["Id"]])
            if row.get("IsDeleted")
            and (stamp is None or row[stamp] == parent.get("SystemModstamp"))
        ]

    def _set(self, sobject: SObject, ids: Sequence[str], values: Row) -> None:
        """Give records the same values, where they have such fields."""
        known = {n: v for n, v in values.items() if (f := sobject.field(n)) and f.stored}
        self._tables.update(sobject, known, [{"Id": key, **known} for key in ids])


def deletion_stamp(sobject: SObject) -> str | None:
    """The field that tells when a record was deleted, if the object has one."""
    for name in ("SystemModstamp", "LastModifiedDate"):
        if sobject.field(name) is not None and sobject.field("IsDeleted") is not None:
            return name
    return None
