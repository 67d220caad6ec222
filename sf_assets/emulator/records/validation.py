"""Whether records may be written as asked: fields, required values, references, uniqueness."""

from collections.abc import Iterable, Mapping
from typing import Any

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.ids import id18
from sf_assets.emulator.records.tables import Row, Tables
from sf_assets.emulator.records.values import converted, wrong_id
from sf_assets.emulator.schema import Field, Schema, SObject
from sf_assets.emulator.store import quoted

_PREFIX = 3
_IDS = (15, 18)


class Draft:
    """One record on its way in.

    Attributes:
        values: By API name, converted.
        error: Why it is refused, once it is.
    """

    def __init__(self, values: Row, error: ApiError | None = None) -> None:
        self.values = values
        self.error = error

    @property
    def record_id(self) -> str:
        """Its Id, which it has once it is accepted."""
        return str(self.values["Id"])


class Validation:
    """Checks drafts of one object.

    Args:
        schema: All objects.
        sobject: The one written.
        tables: The rows as the transaction sees them.
        system: Whether the org itself writes, which may set what users may not.
    """

    def __init__(self, schema: Schema, sobject: SObject, tables: Tables, *, system: bool) -> None:
        self._schema = schema
        self._sobject = sobject
        self._tables = tables
        self._system = system

    def creation(self, values: Mapping[str, Any]) -> Draft:
        """Convert the values of a new record; what is wrong with them ends up in the draft."""
        return self._draft(values, creating=True)

    def change(self, values: Mapping[str, Any]) -> Draft:
        """Convert what changes in a record, which is named by an `Id` among the values."""
        key = next((v for n, v in values.items() if n.lower() == "id"), None)
        if not isinstance(key, str) or len(key) not in _IDS:
            message = "Id not specified in an update call"
            return Draft({}, ApiError(400, "MISSING_ARGUMENT", message))
        rest = {n: v for n, v in values.items() if n.lower() != "id"}
        draft = self._draft(rest, creating=False)
        draft.values["Id"] = long_id(key)
        return draft

    def locate(self, drafts: Iterable[Draft]) -> dict[str, Row]:
        """The rows that drafts change, by Id; a draft without a live row of its own is refused."""
        sound = [d for d in drafts if d.error is None]
        ids = [d.record_id for d in sound]
        present = {row["Id"]: row for row in self._tables.rows(self._sobject, "Id", ids)}
        seen: set[str] = set()
        for draft in sound:
            key = draft.record_id
            if key not in present:
                message = "invalid cross reference id"
                draft.error = ApiError(404, "INVALID_CROSS_REFERENCE_KEY", message)
            elif present[key].get("IsDeleted"):
                draft.error = ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")
            elif key in seen:
                message = (
                    "Maximum 1 duplicate updates in one batch (0 allowed). Attempt to update Id"
                    f" more than once in this Api call: {key}"
                )
                draft.error = ApiError(400, "DUPLICATE_VALUE", message)
            seen.add(key)
        return present

    def check(self, drafts: Iterable[Draft]) -> None:
        """Check what needs the other records: references and unique values."""
        sound = [d for d in drafts if d.error is None]
        for field in self._sobject.fields.values():
            if field.type == "reference":
                self._check_references(field, [d for d in sound if d.values.get(field.name)])
            if field.document["unique"] and field.stored:
                self._check_unique(field, [d for d in sound if d.values.get(field.name)])

    def _draft(self, values: Mapping[str, Any], *, creating: bool) -> Draft:
        row: Row = {}
        try:
            for name, value in values.items():
                if name.lower() == "attributes":
                    continue
                if isinstance(value, Mapping) and name.lower() in self._sobject.parents:
                    parent = self._sobject.parents[name.lower()]
                    row[parent.name] = self._by_external_id(parent, value)
                    continue
                field = self._writable(name, creating=creating)
                row[field.name] = converted(field, value)
            self._check_present(row, creating=creating)
        except ApiError as error:
            return Draft(row, error)
        return Draft(row)

    def _writable(self, name: str, *, creating: bool) -> Field:
        field = self._sobject.field(name)
        if field is None:
            message = f"No such column '{name}' on sobject of type {self._sobject.name}"
            raise ApiError(400, "INVALID_FIELD", message)
        allowed = field.document["createable" if creating else "updateable"]
        if not field.stored or (field.type == "id") or not (allowed or self._system):
            message = (
                f"Unable to create/update fields: {field.name}. Please check the security settings"
                " of this field and verify that it is read/write for your profile or permission"
                " set."
            )
            raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, [field.name])
        return field

    def _check_present(self, row: Row, *, creating: bool) -> None:
        missing = []
        for field in self._sobject.fields.values():
            document = field.document
            required = not document["nillable"] and document["createable"]
            if field.type == "boolean" or document["defaultedOnCreate"] or document["autoNumber"]:
                required = required and not creating and field.type != "boolean"
            if required and row.get(field.name) is None and (creating or field.name in row):
                missing.append(field.name)
        if missing:
            message = f"Required fields are missing: [{', '.join(missing)}]"
            raise ApiError(400, "REQUIRED_FIELD_MISSING", message, missing)

    def _by_external_id(self, reference: Field, value: Mapping[str, Any]) -> str:
        """The parent that `{"Account": {"Key__c": "x"}}` names."""
        pairs = [(n, v) for n, v in value.items() if n.lower() != "attributes"]
        for target in filter(None, (self._schema.get(n) for n in reference.reference_to)):
            key = target.field(pairs[0][0]) if len(pairs) == 1 else None
            if key is not None and (key.document["externalId"] or key.document["idLookup"]):
                found = find_by_key(self._tables, target, key, str(pairs[0][1]))
                if len(found) == 1:
                    return found[0]
                message = (
                    f"Foreign key external ID: {pairs[0][1]} not found for field {key.name} in"
                    f" entity {target.name}"
                )
                raise ApiError(400, "INVALID_FIELD", message)
        message = f"Invalid reference in {reference.relationship_name}: one external Id is needed"
        raise ApiError(400, "INVALID_FIELD", message)

    def _check_references(self, field: Field, drafts: list[Draft]) -> None:
        targets = {
            target.key_prefix: target
            for name in field.reference_to
            if (target := self._schema.get(name)) is not None
        }
        if not drafts or not targets:
            return
        present = self._present(targets.values(), {d.values[field.name] for d in drafts})
        for draft in drafts:
            value = draft.values[field.name]
            if value[:_PREFIX] not in targets and len(targets) == len(field.reference_to):
                draft.error = wrong_id(field, value)
            elif value[:_PREFIX] in targets and value not in present:
                message = "invalid cross reference id"
                draft.error = ApiError(400, "INVALID_CROSS_REFERENCE_KEY", message)
            elif present.get(value):
                draft.error = ApiError(400, "ENTITY_IS_DELETED", "entity is deleted")

    def _present(self, targets: Iterable[SObject], ids: set[str]) -> dict[str, bool]:
        """Which records exist, and whether they are deleted."""
        found: dict[str, bool] = {}
        for target in targets:
            wanted = [i for i in ids if i[:_PREFIX] == target.key_prefix]
            if wanted:
                deleted = '"IsDeleted" IS TRUE' if target.field("IsDeleted") else "false"
                sql = f'SELECT "Id", {deleted} FROM {quoted(target.name)}'
                rows = self._tables.execute(
                    f'{sql} WHERE "Id" IN (SELECT unnest($ids))', {"ids": wanted}
                )
                found |= dict(rows)
        return found

    def _check_unique(self, field: Field, drafts: list[Draft]) -> None:
        if not drafts:
            return
        exact = bool(field.document["caseSensitive"])
        column = quoted(field.name)
        text = field.type not in ("double", "int", "long")
        folded = f"lower({column})" if text and not exact else column
        keys = [_folded(d.values[field.name], exact=exact) for d in drafts]
        sql = f'SELECT {folded}, "Id" FROM {quoted(self._sobject.name)}'
        taken = dict(
            self._tables.execute(f"{sql} WHERE {folded} IN (SELECT unnest($keys))", {"keys": keys})
        )
        for draft, key in zip(drafts, keys, strict=True):
            own = draft.values.get("Id")
            holder = taken.get(key, own)
            if holder != own:
                message = (
                    f"duplicate value found: {field.name} duplicates value on record with id:"
                    f" {holder or '<unknown>'}"
                )
                draft.error = ApiError(400, "DUPLICATE_VALUE", message)
            else:
                # The next draft of the batch must not have it either.
                taken[key] = own if own is not None else ""


def long_id(record_id: str) -> str:
    """An Id in 18 characters.

    Raises:
        ApiError: MALFORMED_ID.
    """
    if len(record_id) not in _IDS or not (record_id.isascii() and record_id.isalnum()):
        raise ApiError(400, "MALFORMED_ID", f"malformed id {record_id}")
    return id18(record_id)


def find_by_key(tables: Tables, target: SObject, key: Field, value: str) -> list[str]:
    """Ids of the live records with that value in an external Id field.

    Raises:
        ApiError: If the field cannot have such a value.
    """
    exact = bool(key.document["caseSensitive"]) or key.type == "id"
    wanted = _folded(converted(key, value), exact=exact)
    column = quoted(key.name)
    folded = f"lower({column})" if isinstance(wanted, str) and not exact else column
    live = ' AND "IsDeleted" IS NOT TRUE' if target.field("IsDeleted") else ""
    sql = f'SELECT "Id" FROM {quoted(target.name)} WHERE {folded} = $value{live} ORDER BY "Id"'
    return [row[0] for row in tables.execute(sql, {"value": wanted})]


def _folded(value: Any, *, exact: bool) -> Any:
    return value if exact or not isinstance(value, str) else value.lower()
