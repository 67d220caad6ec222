"""Single records: create, read, change, delete, upsert, and the bytes of blob fields."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from sf_assets.emulator.conditional import not_modified
from sf_assets.emulator.errors import ApiError, not_found
from sf_assets.emulator.messages import Reply, Request, empty, json_reply
from sf_assets.emulator.org import Org
from sf_assets.emulator.records.tables import Tables
from sf_assets.emulator.records.validation import find_by_key
from sf_assets.emulator.retrieval import record_texts
from sf_assets.emulator.schema import Field, SObject
from sf_assets.emulator.store import quoted

_ID_LENGTHS = (15, 18)
_STAMPS = ("LastModifiedDate", "SystemModstamp", "CreatedDate")
# Before this version an upsert that updates answered without a body.
_FIRST_WITH_BODY = 46.0


class SObjectResources:
    """`/sobjects/X` and what lies below it."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def create(self, request: Request, object_name: str) -> Reply:
        """`POST /sobjects/X`."""
        sobject = self._require(object_name)
        values = request.json_object()
        outcome = self._org.write(request, lambda t: t.insert(sobject.name, [values])[0])
        reply = json_reply(outcome.accepted().document(), 201)
        reply.headers["Location"] = f"{request.base}/sobjects/{sobject.name}/{outcome.id}"
        return reply

    def create_by_id(self, request: Request, object_name: str) -> Reply:
        """`POST /sobjects/X/Id`: the same, for clients that upsert by Id."""
        reply = self.create(request, object_name)
        return Reply(201, str(reply.body)[:-1] + ',"created":true}')

    def read(self, request: Request, object_name: str, record_id: str) -> Reply:
        """`GET /sobjects/X/<id>?fields=…`."""
        sobject = self._require(object_name)
        return self._record(request, sobject, self._existing(request, sobject, record_id))

    def read_by_key(self, request: Request, object_name: str, field: str, value: str) -> Reply:
        """`GET /sobjects/X/<external Id field>/<value>`, or the bytes of a blob field."""
        sobject = self._require(object_name)
        blob = sobject.field(value)
        if blob is not None and blob.type == "base64":
            return self._blob(request, sobject, blob, field)
        found = self._by_key(request, sobject, field, value)
        if not found:
            raise not_found()
        if len(found) > 1:
            return self._ambiguous(request, sobject, found)
        return self._record(request, sobject, found[0])

    def update(self, request: Request, object_name: str, record_id: str) -> Reply:
        """`PATCH /sobjects/X/<id>`."""
        sobject = self._require(object_name)
        values = request.json_object()
        if any(name.lower() == "id" for name in values):
            message = "The Id field should not be specified in the sobject data."
            raise ApiError(400, "INVALID_FIELD", message)
        self._update(request, sobject, self._existing(request, sobject, record_id), values)
        return empty()

    def delete(self, request: Request, object_name: str, record_id: str) -> Reply:
        """`DELETE /sobjects/X/<id>`."""
        sobject = self._require(object_name)
        key = self._existing(request, sobject, record_id)
        not_modified(request, self._modified(request, sobject, key))
        self._org.write(request, lambda t: t.delete(sobject.name, [key])[0]).accepted()
        return empty()

    def upsert(self, request: Request, object_name: str, field: str, value: str) -> Reply:
        """`PATCH /sobjects/X/<external Id field>/<value>`."""
        sobject = self._require(object_name)
        found = self._by_key(request, sobject, field, value)
        if len(found) > 1:
            return self._ambiguous(request, sobject, found)
        values = request.json_object()
        if found:
            self._update(request, sobject, found[0], values)
            if float(request.version) < _FIRST_WITH_BODY:
                return empty()
            return json_reply({"id": found[0], "success": True, "errors": [], "created": False})
        key = sobject.field(field)
        if key is None or key.type == "id":
            raise not_found()
        new = {key.name: value, **values}
        outcome = self._org.write(request, lambda t: t.insert(sobject.name, [new])[0])
        return json_reply({**outcome.accepted().document(), "created": True}, 201)

    def delete_by_key(self, request: Request, object_name: str, field: str, value: str) -> Reply:
        """`DELETE /sobjects/X/<external Id field>/<value>`."""
        sobject = self._require(object_name)
        found = self._by_key(request, sobject, field, value)
        if not found:
            raise not_found()
        not_modified(request, self._modified(request, sobject, found[0]))
        self._org.write(request, lambda t: t.delete(sobject.name, found[:1])[0]).accepted()
        return empty()

    def _update(
        self, request: Request, sobject: SObject, key: str, values: Mapping[str, Any]
    ) -> None:
        not_modified(request, self._modified(request, sobject, key))
        row = {**values, "Id": key}
        self._org.write(request, lambda t: t.update(sobject.name, [row])[0]).accepted()

    def _require(self, object_name: str) -> SObject:
        sobject = self._org.schema.get(object_name)
        if sobject is None:
            raise not_found()
        return sobject

    def _existing(self, request: Request, sobject: SObject, record_id: str) -> str:
        """The 18-character Id of a record that is there and not deleted."""
        if len(record_id) not in _ID_LENGTHS or not record_id.isalnum():
            message = f"Provided external ID field does not exist or is not accessible: {record_id}"
            raise not_found(message)
        prefix = sobject.key_prefix
        if prefix is not None and not record_id.startswith(prefix):
            label = sobject.document["label"]
            message = f"{label} ID: id value of incorrect type: {record_id}"
            raise ApiError(400, "MALFORMED_ID", message, ["Id"])
        deleted = '"IsDeleted" IS TRUE' if sobject.field("IsDeleted") else "false"
        rows = self._org.rows(
            request,
            f'SELECT "Id", {deleted} FROM {sobject.rows_sql} WHERE starts_with("Id", $id)',
            {"id": record_id},
        )
        if not rows:
            raise not_found()
        if rows[0][1]:
            raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")
        return str(rows[0][0])

    def _by_key(self, request: Request, sobject: SObject, name: str, value: str) -> list[str]:
        """Ids of the records that an external Id names."""
        field = sobject.field(name)
        is_key = field is not None and (field.document["externalId"] or field.document["idLookup"])
        if field is None or not is_key:
            message = f"Provided external ID field does not exist or is not accessible: {name}"
            raise not_found(message)
        if request.transaction is not None:
            return find_by_key(request.transaction.tables, sobject, field, value)
        with self._org.store.cursor() as connection:
            return find_by_key(Tables(connection), sobject, field, value)

    def _ambiguous(self, request: Request, sobject: SObject, ids: list[str]) -> Reply:
        """Several records share the external Id: their addresses."""
        return json_reply([f"{request.base}/sobjects/{sobject.name}/{key}" for key in ids], 300)

    def _record(self, request: Request, sobject: SObject, key: str) -> Reply:
        asked = request.query.get("fields")
        names = [n.strip() for n in asked.split(",")] if asked else []
        modified = self._modified(request, sobject, key)
        headers = {} if modified is None else {"Last-Modified": format_datetime(modified, True)}
        if unchanged := not_modified(request, modified, headers):
            return unchanged
        texts = record_texts(self._org, request, sobject, names, [key])
        if key not in texts:
            raise not_found()
        return Reply(200, texts[key], headers=headers)

    def _modified(self, request: Request, sobject: SObject, key: str) -> datetime | None:
        """When a record was changed last, if its object keeps that."""
        stamp = next((f for n in _STAMPS if (f := sobject.field(n)) and f.stored), None)
        if stamp is None:
            return None
        sql = f'SELECT {quoted(stamp.name)} FROM {sobject.rows_sql} WHERE "Id" = $id'
        rows = self._org.rows(request, sql, {"id": key})
        moment: datetime | None = rows[0][0] if rows else None
        return moment.replace(tzinfo=UTC) if moment else None

    def _blob(self, request: Request, sobject: SObject, field: Field, record_id: str) -> Reply:
        key = self._existing(request, sobject, record_id)
        rows = self._org.rows(
            request,
            f'SELECT {quoted(field.name)} FROM {quoted(sobject.name)} WHERE "Id" = $id',
            {"id": key},
        )
        if not rows or rows[0][0] is None:
            raise not_found()
        return Reply(200, bytes(rows[0][0]), "application/octetstream")
