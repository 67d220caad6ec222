"""What changed and what was deleted in a span of time: `/updated` and `/deleted`."""

from datetime import UTC, datetime, timedelta

from sf_assets.emulator.clock import iso
from sf_assets.emulator.errors import ApiError, not_found
from sf_assets.emulator.messages import Reply, Request, json_reply
from sf_assets.emulator.org import Org
from sf_assets.emulator.records.removal import deletion_stamp
from sf_assets.emulator.schema import SObject
from sf_assets.emulator.store import quoted

_MOST = 600_000


class ReplicationResources:
    """Replication resources; times are cut to the minute."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._reach = timedelta(days=org.settings.replication_days)

    def updated(self, request: Request, object_name: str) -> Reply:
        """`GET /sobjects/X/updated?start=…&end=…`: Ids of live records."""
        sobject = self._require(object_name)
        span = self._span(request)
        stamp = next(n for n in ("SystemModstamp", "LastModifiedDate", "CreatedDate", "Id")
                     if sobject.field(n))  # fmt: skip
        live = ' AND "IsDeleted" IS NOT TRUE' if sobject.field("IsDeleted") else ""
        rows = self._org.store.rows(
            f'SELECT "Id" FROM {sobject.rows_sql}'
            f" WHERE {quoted(stamp)} >= $start AND {quoted(stamp)} < $end{live}",
            span,
        )
        _check_number(len(rows))
        return json_reply(
            {"ids": [row[0] for row in rows], "latestDateCovered": self._covered(span)}
        )

    def deleted(self, request: Request, object_name: str) -> Reply:
        """`GET /sobjects/X/deleted?start=…&end=…`: in the recycle bin or gone from it."""
        sobject = self._require(object_name)
        span = self._span(request)
        purged = "FROM emulator.purged WHERE object = $object"
        parts = [f"SELECT id, deleted {purged} AND deleted >= $start AND deleted < $end"]
        stamp = deletion_stamp(sobject)
        if stamp is not None:
            column = quoted(stamp)
            parts.append(
                f'SELECT "Id", {column} FROM {sobject.rows_sql}'
                f' WHERE "IsDeleted" AND {column} >= $start AND {column} < $end'
            )
        parameters = {**span, "object": sobject.name}
        rows = self._org.store.rows(" UNION ALL ".join(parts) + " ORDER BY 2, 1", parameters)
        _check_number(len(rows))
        earliest = self._org.clock.stamp() - self._reach
        document = {
            "deletedRecords": [{"id": key, "deletedDate": iso(when)} for key, when in rows],
            "earliestDateAvailable": iso(earliest.replace(second=0)),
            "latestDateCovered": self._covered(span),
        }
        return json_reply(document)

    def _require(self, object_name: str) -> SObject:
        sobject = self._org.schema.get(object_name)
        if sobject is None:
            raise not_found()
        if not sobject.document["replicateable"]:
            message = f"object type {sobject.name} is not replicateable"
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)
        return sobject

    def _span(self, request: Request) -> dict[str, datetime]:
        start, end = (_minute(request, name) for name in ("start", "end"))
        if start >= end:
            message = f"endDate: {end:%c} has to be later than startDate: {start:%c}"
            raise ApiError(400, "INVALID_REPLICATION_DATE", message)
        now = self._org.clock.now().replace(tzinfo=None)
        if start < now - self._reach:
            message = "startDate before org replication enabled date"
            raise ApiError(400, "INVALID_REPLICATION_DATE", message)
        return {"start": start, "end": end}

    def _covered(self, span: dict[str, datetime]) -> str:
        """How far the answer can be trusted: not beyond the last full minute."""
        now = self._org.clock.now().replace(second=0, microsecond=0, tzinfo=None)
        return iso(min(span["end"], now))


def _minute(request: Request, name: str) -> datetime:
    text = request.query.get(name, "").replace(" ", "+")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"Invalid value for parameter {name}: {text}"
        raise ApiError(400, "INVALID_REPLICATION_DATE", message) from None
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return utc.replace(second=0, microsecond=0, tzinfo=None)


def _check_number(rows: int) -> None:
    if rows > _MOST:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"Too many results: {rows}")
