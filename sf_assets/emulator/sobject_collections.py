"""Up to 200 records in one call: `/composite/sobjects`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sf_assets.emulator.errors import ApiError, malformed_json, not_found
from sf_assets.emulator.messages import Reply, Request, json_reply
from sf_assets.emulator.org import Org
from sf_assets.emulator.records import Outcome, Transaction
from sf_assets.emulator.records.upsert import upsert
from sf_assets.emulator.records.validation import long_id
from sf_assets.emulator.retrieval import record_texts
from sf_assets.emulator.schema import SObject

_MOST = 200
_MOST_READ = 2000
_PREFIX = 3
_ROLLED_BACK = ApiError(
    400,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone"
    " header",
)
Group = Callable[[Transaction, str, list[Any]], list[Outcome]]


class CollectionResources:
    """sObject Collections."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def create(self, request: Request) -> Reply:
        """`POST /composite/sobjects`."""
        body = request.json_object()
        items = [(_type(record), record) for record in _records(body)]
        return self._write(request, body.get("allOrNone"), items, lambda t, n, r: t.insert(n, r))

    def update(self, request: Request) -> Reply:
        """`PATCH /composite/sobjects`."""
        body = request.json_object()
        items = [(_type(record), record) for record in _records(body)]
        return self._write(request, body.get("allOrNone"), items, lambda t, n, r: t.update(n, r))

    def upsert(self, request: Request, object_name: str, field: str) -> Reply:
        """`PATCH /composite/sobjects/X/<external Id field>`."""
        sobject = self._require(object_name)
        key = sobject.field(field)
        is_key = key is not None and (key.document["externalId"] or key.document["idLookup"])
        if key is None or not is_key:
            message = f"Provided external ID field does not exist or is not accessible: {field}"
            raise not_found(message)
        body = request.json_object()
        items = [(sobject.name, record) for record in _records(body)]

        def group(transaction: Transaction, _name: str, rows: list[Any]) -> list[Outcome]:
            return upsert(transaction, sobject, key, rows)

        return self._write(request, body.get("allOrNone"), items, group, with_created=True)

    def delete(self, request: Request) -> Reply:
        """`DELETE /composite/sobjects?ids=…&allOrNone=…`."""
        ids = [i.strip() for i in request.query.get("ids", "").split(",") if i.strip()]
        _check_number(ids, _MOST)
        by_prefix = {o.key_prefix: o.name for o in self._org.schema if o.key_prefix}
        items = [(by_prefix.get(key[:_PREFIX], key[:_PREFIX]), key) for key in ids]
        return self._write(
            request, request.flag("allOrNone"), items, lambda t, n, keys: t.delete(n, keys)
        )

    def retrieve(self, request: Request, object_name: str) -> Reply:
        """`POST /composite/sobjects/X`: records by Id, null for those that are not there."""
        body = request.json_object()
        return self._retrieve(request, object_name, body.get("ids"), body.get("fields"))

    def retrieve_by_address(self, request: Request, object_name: str) -> Reply:
        """`GET /composite/sobjects/X?ids=…&fields=…`: the same."""
        ids = request.query.get("ids", "").split(",")
        return self._retrieve(request, object_name, ids, request.query.get("fields", "").split(","))

    def _retrieve(self, request: Request, object_name: str, ids: Any, fields: Any) -> Reply:
        sobject = self._require(object_name)
        if not isinstance(ids, list) or not isinstance(fields, list) or not fields:
            raise malformed_json("ids and fields are required")
        _check_number(ids, _MOST_READ)
        keys = [long_id(str(key)) for key in ids]
        texts = record_texts(self._org, request, sobject, [str(f) for f in fields], keys)
        return Reply(200, f"[{','.join(texts.get(key, 'null') for key in keys)}]")

    def _require(self, object_name: str) -> SObject:
        sobject = self._org.schema.get(object_name)
        if sobject is None:
            raise not_found()
        return sobject

    def _write(
        self,
        request: Request,
        all_or_none: Any,
        items: Sequence[tuple[str, Any]],
        group: Group,
        *,
        with_created: bool = False,
    ) -> Reply:
        """Write records object by object; results come in the order of the request.

        Args:
            request: Who asks.
            all_or_none: Whether one failure undoes everything.
            items: Object name and record, or what else `group` takes.
            group: Writes the records of one object.
            with_created: Whether results say which records are new.
        """

        def work(transaction: Transaction) -> list[Outcome]:
            outcomes = _in_groups(transaction, items, group)
            if all_or_none is True and any(o.error is not None for o in outcomes):
                transaction.rollback()
                return [o if o.error else Outcome(error=_ROLLED_BACK) for o in outcomes]
            return outcomes

        documents = []
        for outcome in self._org.write(request, work):
            document = outcome.document()
            if with_created and outcome.error is None:
                document["created"] = outcome.created
            documents.append(document)
        return json_reply(documents)


def _in_groups(
    transaction: Transaction, items: Sequence[tuple[str, Any]], group: Group
) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    for name in dict.fromkeys(name for name, _ in items):
        places = [place for place, (other, _) in enumerate(items) if other == name]
        try:
            results = group(transaction, name, [items[place][1] for place in places])
        except ApiError as error:
            if error.code == "UNABLE_TO_LOCK_ROW":
                raise
            results = [Outcome(error=error)] * len(places)
        outcomes |= dict(zip(places, results, strict=True))
    return [outcomes[place] for place in range(len(items))]


def _records(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise malformed_json("records must be a list of objects")
    _check_number(records, _MOST)
    return records


def _check_number(items: Sequence[Any], most: int) -> None:
    if not items or len(items) > most:
        message = f"The request must have from 1 to {most} records, but has {len(items)}"
        raise ApiError(400, "EXCEEDED_ID_LIMIT", message)


def _type(record: Mapping[str, Any]) -> str:
    attributes = record.get("attributes")
    name = attributes.get("type") if isinstance(attributes, dict) else None
    if not isinstance(name, str):
        raise ApiError(400, "INVALID_INPUT", "Include an entity type in the record's attributes")
    return name
