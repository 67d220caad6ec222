"""Bulk API 2.0 query jobs: create, wait, read the result pages, clean up."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import requests

from sf_assets.errors import BulkRefusedError, JobFailedError, SalesforceError
from sf_assets.salesforce.response_stream import ResponseStream
from sf_assets.salesforce.responses import NOT_OF_THE_QUESTION, understood
from sf_assets.salesforce.session import OrgSession

PAGES_SINCE = 58.0
"""API version from which on result pages can be listed ahead."""

_FEW_ROWS = 50_000  # such a result is likely one page: listing its pages would cost a call
_PAGES_LISTED = 5
_CHAIN_ROWS = 100_000  # page size where we choose it; much larger pages were seen to hang
_FIRST_POLL, _LONGEST_POLL = 0.5, 20.0
_REFUSALS = {"INVALIDENTITY", "API_ERROR", "FUNCTIONALITY_NOT_ENABLED", "FEATURENOTENABLED"}
_CODE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a job may stay in one state, in seconds."""

    queued: float = 2 * _HOUR
    running: float = 6 * _HOUR

    def of(self, state: str) -> float:
        """The deadline of a state."""
        return self.running if state == "InProgress" else self.queued


@dataclass(frozen=True, slots=True)
class Job:
    """A query job as the org last told of it.

    Attributes:
        rows: Records processed so far; all of them once the state is JobComplete.
        error: Why it failed, where the org said so.
    """

    id: str
    state: str
    rows: int = 0
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in {"JobComplete", "Failed", "Aborted"}


class Page:
    """One page of results, open for reading. A context manager; closing drops the connection.

    Args:
        response: The answer, of which only the head has been read.
        read: Is told the size of the page when it has been read without a failure.

    Attributes:
        rows: Rows announced by the header, or None when there was no such header.
        following: Locator of the next page, or None on the last.
        body: The CSV, as bytes.
    """

    def __init__(self, response: requests.Response, read: Callable[[int], None]) -> None:
        announced = response.headers.get("Sforce-NumberOfRecords", "")
        self.rows = int(announced) if announced.isdecimal() else None
        following = response.headers.get("Sforce-Locator", "null")
        self.following = None if following in {"", "null"} else following
        self.body = ResponseStream(response)
        self._response = response
        self._read = read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._response.close()
        if kind is None:
            self._read(self.body.size)


class BulkApi:
    """Query jobs of one org.

    Args:
        session: The open session.
        version: API version, such as `66.0`.
    """

    def __init__(self, session: OrgSession, version: str) -> None:
        self._session = session
        self._version = float(version)
        self._url = f"{session.token.instance_url}/services/data/v{version}/jobs/query"

    def create(self, soql: str) -> Job:
        """Start a queryAll job.

        Raises:
            BulkRefusedError: Bulk API does not support this object or query.
            SalesforceError: The query is wrong, or a limit is used up.
        """
        request = {
            "operation": "queryAll",
            "query": soql,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        try:
            with understood("POST jobs/query"):
                return _job(self._session.post(self._url, json=request).json())
        except SalesforceError as error:
            if error.code in _REFUSALS:
                raise BulkRefusedError(str(error), status=error.status, code=error.code) from None
            raise

    def get(self, job_id: str) -> Job:
        """The job as it is now."""
        with understood(f"GET jobs/query/{job_id}"):
            return _job(self._session.get(f"{self._url}/{job_id}").json())

    def wait(
        self,
        job: Job,
        deadlines: Deadlines,
        pause: Callable[[float], None] = time.sleep,
        report: Callable[[Job], None] = lambda _: None,
    ) -> Job:
        """Poll, ever more slowly, until the job is complete.

        Args:
            job: The job to wait for.
            deadlines: How long each state may last.
            pause: Waits for some seconds; what it raises ends the waiting.
            report: Called with each new answer.

        Raises:
            JobFailedError: It ended in another state, or stayed in one for too long.
        """
        seconds, since = _FIRST_POLL, time.monotonic()
        while not job.ended:
            if time.monotonic() - since > deadlines.of(job.state):
                raise JobFailedError(
                    f"Bulk job {job.id} has been {job.state} for "
                    f"{deadlines.of(job.state):.0f} s; it is given up, run again"
                )
            pause(seconds)
            seconds = min(seconds * 1.5, _LONGEST_POLL)
            latest = self.get(job.id)
            if latest.state != job.state:
                since = time.monotonic()
            job = latest
            report(job)
        if job.state != "JobComplete" and not job.error:
            job = self.get(job.id)  # as it was created, it does not tell
        if job.state != "JobComplete":
            raise JobFailedError(
                f"Bulk job {job.id} ended {job.state}: {job.error or 'the org gave no reason'}",
                code=_code_in(job.error),
            )
        return job

    def locators(self, job: Job) -> list[str | None] | None:
        """Locators of all result pages, so that they can be read side by side.

        Returns:
            The locators, None standing for the first page; or None instead of a list when pages
            must be followed one by one, each naming the next.
        """
        if job.rows <= _FEW_ROWS or self._version < PAGES_SINCE:
            return None
        try:
            with understood(f"GET jobs/query/{job.id}/resultPages"):
                found = list(self._listed(job.id))
        except NOT_OF_THE_QUESTION:
            raise
        except SalesforceError:  # an org that does not offer it
            return None
        # A list that names nothing, or one page twice, is not to be trusted.
        return found if found and len(set(found)) == len(found) else None

    def _listed(self, job_id: str) -> Iterator[str | None]:
        following: str | None = None
        visited: set[str | None] = set()
        while following not in visited:
            visited.add(following)
            params = {"locator": following} if following else None
            url = f"{self._url}/{job_id}/resultPages"
            answer = self._session.get(url, params=params).json()
            # Three shapes are in the wild; of the links only the locator counts.
            for item in answer.get("resultPages") or answer.get("resultChunks") or []:
                yield _locator(item.get("resultUrl") or item.get("resultLink"))
            link = answer.get("nextRecordsUrl") or answer.get("nextRecordUrl")
            following = _locator(link)
            if answer.get("done", not link) or not following:
                return

    def open_page(self, job: Job, locator: str | None, *, chained: bool) -> Page:
        """Ask for one page of results.

        Args:
            job: A complete job.
            locator: Which page; None for the first.
            chained: Whether pages are followed one by one; then we choose their size.

        Raises:
            SalesforceError: The org refused; for a locator that is gone, with its code.
        """
        params: dict[str, str] = {"locator": locator} if locator else {}
        if chained:
            params["maxRecords"] = str(_CHAIN_ROWS)
        url = f"{self._url}/{job.id}/results"
        # gzip saves a real network and costs a loopback; requests would not notice it cut short.
        loopback = url.startswith("http://")
        headers = {"Accept": "text/csv", "Accept-Encoding": "identity" if loopback else "gzip"}
        response = self._session.get(url, params=params, headers=headers, stream=True)
        return Page(response, self._session.budget.read)

    def abort(self, job_id: str) -> None:
        """Stop a job that runs; one that has ended is left as it is."""
        try:
            self._session.patch(f"{self._url}/{job_id}", json={"state": "Aborted"})
        except SalesforceError as error:
            if error.status not in {400, 404}:
                raise

    def delete(self, job_id: str) -> None:
        """Remove an ended job and its results; one that is gone is no error."""
        try:
            self._session.delete(f"{self._url}/{job_id}")
        except SalesforceError as error:
            if error.status not in {400, 404}:
                raise


def calls_of_job(rows: int) -> int:
    """Calls that a job is likely to take: create, look how far it is, pages, their list, delete.

    How fast the org works is not ours to know: half a minute, and 10,000 rows a second, is assumed.
    """
    pages = max(1, -(-rows // _FEW_ROWS))
    lists = -(-pages // _PAGES_LISTED) if rows > _FEW_ROWS else 0
    left, pause, polls = 30 + rows / 10_000, _FIRST_POLL, 0
    while left > 0:
        left, pause, polls = left - pause, min(pause * 1.5, _LONGEST_POLL), polls + 1
    return 2 + polls + lists + pages


def _code_in(reason: str) -> str:
    """The error code in a reason, as in `InvalidBatch : Failed to process query: QUERY_TIMEOUT`."""
    found = _CODE.search(reason)
    return found.group() if found else reason.partition(":")[0].strip()


def _job(answer: Mapping[str, Any]) -> Job:
    return Job(
        id=str(answer["id"]),
        state=str(answer["state"]),
        rows=int(answer.get("numberRecordsProcessed") or 0),
        error=str(answer.get("errorMessage") or ""),
    )


def _locator(link: str | None) -> str | None:
    """The `locator` value of a link; the event sample writes a colon for `=`."""
    query = urlsplit(link or "").query.replace("locator:", "locator=")
    return next(iter(parse_qs(query).get("locator", [])), None)
