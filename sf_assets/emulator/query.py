"""The query resources: `query`, `queryAll` and the pages that follow."""

import re
from typing import Any

from sf_assets.emulator.column_metadata import column_metadata
from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.messages import Reply, Request, json_reply, to_json
from sf_assets.emulator.org import Org
from sf_assets.emulator.soql.plan import Plan

_BATCH = 2000
_SMALLEST_BATCH = 200
_BATCH_OPTION = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)
_LOCATOR = re.compile(r"(01g\w{15})-(\d+)")


class QueryResources:
    """SOQL over REST."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def query(self, request: Request) -> Reply:
        """`GET /query?q=…`: without deleted and archived rows."""
        return self._answer(request, all_rows=False)

    def query_all(self, request: Request) -> Reply:
        """`GET /queryAll?q=…`: with them."""
        return self._answer(request, all_rows=True)

    def more(self, request: Request, locator: str) -> Reply:
        """`GET /query/<locator>`: a further page, as often as it is asked for."""
        match = _LOCATOR.fullmatch(locator)
        if match is None:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        cursor = self._org.cursors.find(match[1])
        first = shifted(request, int(match[2]), cursor.batch)
        if first >= cursor.total:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        end = first + cursor.batch
        url = f"{cursor.base}/query/{match[1]}-{end}" if end < cursor.total else None
        return Reply(200, _page(cursor.total, cursor.page(first, repeated(request)), url))

    def _answer(self, request: Request, *, all_rows: bool) -> Reply:
        if "explain" in request.query:
            return self._explain(request, all_rows=all_rows)
        plan = self._org.compile(request.query.get("q", ""), all_rows=all_rows, definitions=True)
        if request.flag("columns"):
            return json_reply(column_metadata(plan))
        self._org.restrictions.check(plan)
        if refusal := self._org.restrictions.overrun(plan):
            raise refusal
        return Reply(200, self._first_page(request, plan))

    def _first_page(self, request: Request, plan: Plan) -> str:
        if plan.kind == "count":
            return _page(self._count(request, plan), "", None)
        batch = _batch(request)
        inside = request.transaction.connection if request.transaction else None
        locator, cursor = self._org.cursors.open(plan, request.base, batch, inside=inside)
        try:
            self._org.restrictions.check_pages(plan, cursor.total, batch)
        except ApiError:
            self._org.cursors.drop(locator)
            raise
        records = cursor.page(0, repeated(request))
        url = f"{request.base}/query/{locator}-{batch}" if cursor.total > batch else None
        page = _page(cursor.total, records, url)
        if url is None:
            self._org.cursors.drop(locator)
        return page

    def _count(self, request: Request, plan: Plan) -> int:
        sql = plan.count_sql()
        return int(self._org.rows(request, sql, plan.bound(sql))[0][0])

    def _explain(self, request: Request, *, all_rows: bool) -> Reply:
        """What the query would cost: here always one scan of the table."""
        text = request.query["explain"]
        plan = self._org.compile(text, all_rows=all_rows)
        rows = self._org.table_rows(plan.object_name)
        found = self._count(request, plan)
        scan: dict[str, Any] = {
            "cardinality": found,
            "fields": [],
            "leadingOperationType": "TableScan",
            "notes": [],
            "relativeCost": 1.0,
            "sobjectCardinality": rows,
            "sobjectType": plan.object_name,
        }
        return json_reply({"plans": [scan], "sourceQuery": text})


def shifted(request: Request, first: int, count: int) -> int:
    """The row at which a page begins, unless another page is sent on order."""
    return max(0, first + request.fault.page_shift * count) if request.fault else first


def repeated(request: Request) -> int | None:
    """The row of a page, from 1, that is sent in place of the next one too, on order."""
    return request.fault.repeat_row if request.fault else None


def _batch(request: Request) -> int:
    match = _BATCH_OPTION.search(request.headers.get("sforce-query-options", ""))
    return min(max(int(match[1]), _SMALLEST_BATCH), _BATCH) if match else _BATCH


def _page(total: int, records: str, next_url: str | None) -> str:
    """The answer's text; records are texts already, numbers in them are Java's."""
    link = f'"nextRecordsUrl":{to_json(next_url)},' if next_url else ""
    done = "false" if next_url else "true"
    return f'{{"totalSize":{total},"done":{done},{link}"records":[{records}]}}'
