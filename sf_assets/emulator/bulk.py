"""Bulk API 2.0 query: `/jobs/query`.

Ingest (`/jobs/ingest`) is a router of its own, not built yet; only its list of jobs is here,
because the pages of the query list continue there.
"""

import base64
import binascii
import dataclasses
import re
from typing import Any

from sf_assets.emulator.bulk_rules import check_plan, supports_chunking
from sf_assets.emulator.clock import iso
from sf_assets.emulator.errors import ApiError, malformed_json, not_found
from sf_assets.emulator.jobs import DELIMITERS, LINE_ENDINGS, Job
from sf_assets.emulator.messages import CSV, Reply, Request, empty, json_reply
from sf_assets.emulator.org import Org
from sf_assets.emulator.query import repeated, shifted
from sf_assets.emulator.soql.plan import Plan

_OPERATIONS = {"query": False, "queryAll": True}
_LISTED = 1000
_PAGES_LISTED = 5
# Until version 49.0 columns came in alphabetical order.
_FIRST_IN_ORDER = 50.0
_LIST_LOCATOR = re.compile(r"01g\w{15}-(\d+)")


class BulkQuery:
    """Query jobs over REST."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def create(self, request: Request) -> Reply:
        """`POST /jobs/query`."""
        body = request.json_object()
        operation = str(body.get("operation"))
        if operation not in _OPERATIONS:
            raise malformed_json(f"Invalid value for operation: {operation}")
        delimiter = _choice(body, "columnDelimiter", "COMMA", DELIMITERS)
        line_ending = _choice(body, "lineEnding", "LF", LINE_ENDINGS)
        _choice(body, "contentType", "CSV", {"CSV": ""})
        plan = self._plan(str(body.get("query") or ""), all_rows=_OPERATIONS[operation])
        if float(request.version) < _FIRST_IN_ORDER:
            by_name = sorted(plan.outputs, key=lambda output: ".".join(output.path))
            plan = dataclasses.replace(plan, outputs=tuple(by_name))
        self._count_job()
        job = self._org.jobs.submit(
            plan,
            operation=operation,
            api_version=request.version,
            delimiter=delimiter,
            line_ending=line_ending,
            user_id=request.user_id,
            ending=self._ending(request, plan),
            delay=request.fault.job_seconds if request.fault else 0.0,
        )
        return json_reply({**_short(job), **_format(job)})

    def info(self, _request: Request, job_id: str) -> Reply:
        """`GET /jobs/query/<id>`."""
        return json_reply(_full(self._job(job_id)))

    def list_jobs(self, request: Request) -> Reply:
        """`GET /jobs/query`: all bulk jobs of the org unless filtered."""
        jobs = [job for job in self._org.jobs.all() if _wanted(job, request)]
        match = _LIST_LOCATOR.fullmatch(request.query.get("queryLocator", ""))
        first = int(match[1]) if match else 0
        end = first + _LISTED
        url = f"{request.base}/jobs/ingest?queryLocator=01g000000000000AAA-{end}"
        is_last = end >= len(jobs)
        document = {
            "done": is_last,
            "records": [_full(job) for job in jobs[first:end]],
            "nextRecordsUrl": None if is_last else url,
        }
        return json_reply(document)

    def change(self, request: Request, job_id: str) -> Reply:
        """`PATCH /jobs/query/<id>`: abort."""
        job = self._job(job_id)
        if request.json_object().get("state") != "Aborted":
            message = "Only the state Aborted can be set on a query job"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        if not self._org.jobs.abort(job):
            message = "Aborting already Completed Job not allowed"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        return json_reply(_short(job))

    def delete(self, _request: Request, job_id: str) -> Reply:
        """`DELETE /jobs/query/<id>`."""
        job = self._job(job_id)
        if not job.is_final:
            message = f"Deleting a Job in state {job.state} not allowed"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        self._org.jobs.delete(job)
        return empty()

    def results(self, request: Request, job_id: str) -> Reply:
        """`GET /jobs/query/<id>/results?locator=…&maxRecords=…`: one page as CSV."""
        job = self._completed(request, job_id)
        if job.result is None:
            raise not_found()
        count = self._page_rows(request)
        first = shifted(request, _offset(request.query.get("locator"), job.result.rows), count)
        first = min(first, job.result.rows)
        try:
            rows, size, chunks = job.result.page(first, count, repeated(request))
        except FileNotFoundError:
            # Deleted by somebody else in between.
            raise not_found() from None
        end = first + rows
        headers = {
            "Sforce-NumberOfRecords": str(rows),
            "Sforce-Locator": _locator(end) if end < job.result.rows else "null",
            "Content-Length": str(size),
        }
        return Reply(200, chunks, CSV, headers)

    def result_pages(self, request: Request, job_id: str) -> Reply:
        """`GET /jobs/query/<id>/resultPages`: links to pages that can be fetched in parallel."""
        shape = self._org.settings.result_pages
        if shape == "off":
            raise not_found()
        job = self._completed(request, job_id)
        if job.result is None:
            raise not_found()
        size = self._org.settings.page_rows
        first = _offset(request.query.get("locator"), job.result.rows)
        end = first + size * _PAGES_LISTED
        is_last = end >= job.result.rows
        root = request.base if shape == "guide" else ""
        path = f"{root}/jobs/query/{job.id}"
        key = "resultUrl" if shape == "guide" else "resultLink"
        stop = max(min(end, job.result.rows), first + 1)
        links = [{key: f"{path}/results?locator={_locator(n)}"} for n in range(first, stop, size)]
        if shape == "chunks":
            document: dict[str, Any] = {"resultChunks": links}
        else:
            document = {"resultPages": links}
        following = f"{path}/resultpages?locator={_locator(end)}"
        document |= {"nextRecordsUrl": None if is_last else following, "done": is_last}
        return json_reply(document)

    def _plan(self, text: str, *, all_rows: bool) -> Plan:
        """Understand a query.

        Raises:
            ApiError: What the Bulk API answers to one that it refuses.
        """
        try:
            plan = self._org.compile(text, all_rows=all_rows)
            check_plan(plan, self._org.restrictions)
        except ApiError as error:
            if error.code == "INVALID_TYPE_FOR_OPERATION":
                raise ApiError(400, "API_ERROR", "API does not support query") from None
            raise
        return plan

    def _job(self, job_id: str) -> Job:
        job = self._org.jobs.find(job_id)
        if job is None:
            raise not_found()
        return job

    def _completed(self, request: Request, job_id: str) -> Job:
        """A job whose results may be read."""
        job = self._job(job_id)
        if job.api_version != request.version:
            message = f"The job was created with API version {job.api_version}"
            raise ApiError(409, "INVALIDVERSION", message)
        if job.state != "JobComplete":
            message = f"Results are not available: the job is in state {job.state}"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        return job

    def _page_rows(self, request: Request) -> int:
        asked = request.query.get("maxRecords")
        if asked is None:
            return self._org.settings.page_rows
        if not asked.isdecimal() or int(asked) < 1:
            raise ApiError(400, "CLIENTINPUTERROR", f"Invalid value for maxRecords: {asked}")
        return int(asked)

    def _ending(self, request: Request, plan: Plan) -> tuple[str | None, str | None]:
        """State in which a new job must end, and its error message, unless it ends well."""
        if request.fault is not None and request.fault.job_state is not None:
            return request.fault.job_state, request.fault.job_message
        refusal = self._org.restrictions.overrun(plan)
        return (None, None) if refusal is None else ("Failed", str(refusal))

    def _count_job(self) -> None:
        """Count a new job.

        Raises:
            ApiError: LIMIT_EXCEEDED when no job or no room for results is left.
        """
        limits = self._org.limits
        if not limits.query_kilobytes.remaining:
            message = (
                f"Max bulk v2 query result size stored ({limits.query_kilobytes.maximum}) kb per"
                " 24 hrs has been exceeded"
            )
            raise ApiError(400, "LIMIT_EXCEEDED", message)
        if not limits.query_jobs.take():
            most = limits.query_jobs.maximum
            message = f"Max bulk v2 query jobs ({most}) per 24 hrs has been reached"
            raise ApiError(400, "LIMIT_EXCEEDED", message)


def _choice(body: dict[str, Any], name: str, default: str, allowed: dict[str, str]) -> str:
    """An optional setting of a new job; null counts as absent."""
    value = str(body.get(name) or default)
    if value not in allowed:
        raise malformed_json(f"Invalid value for {name}: {value}")
    return value


def _short(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.plan.object_name,
        "createdById": job.created_by,
        "createdDate": iso(job.created),
        "systemModstamp": iso(job.changed),
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job.api_version),
    }


def _format(job: Job) -> dict[str, Any]:
    return {"lineEnding": job.line_ending, "columnDelimiter": job.delimiter}


def _full(job: Job) -> dict[str, Any]:
    document = {
        **_short(job),
        "jobType": "V2Query",
        **_format(job),
        "numberRecordsProcessed": job.records,
        "retries": 0,
        "totalProcessingTime": job.milliseconds,
        "isPkChunkingSupported": supports_chunking(job.plan.scope.sobject),
    }
    if job.error_message is not None:
        document["errorMessage"] = job.error_message
    return document


def _wanted(job: Job, request: Request) -> bool:
    """Whether the list's filters let a job through."""
    kind = request.query.get("jobType")
    mode = request.query.get("concurrencyMode")
    chunked = request.query.get("isPkChunkingEnabled")
    return (
        (kind is None or kind.lower() == "v2query")
        and (mode is None or mode.lower() == "parallel")
        and (chunked is None or (chunked.lower() == "true") == job.plan.chunked)
    )


def _locator(row: int) -> str:
    """The page that begins at a row: its number in base64, without padding."""
    return base64.urlsafe_b64encode(str(row).encode()).decode().rstrip("=")


def _offset(locator: str | None, rows: int) -> int:
    """The row at which a page begins.

    Raises:
        ApiError: CLIENTINPUTERROR for a locator that is none of this result.
    """
    if locator is None:
        return 0
    try:
        row = int(base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except (ValueError, binascii.Error):
        row = -1
    if not 0 <= row < max(rows, 1):
        raise ApiError(400, "CLIENTINPUTERROR", f"Invalid locator: {locator}")
    return row
