"""REST: describe, small queries, batched probes, limits. simple-salesforce does the calling."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from sf_assets.describe import ObjectInfo, parse_describe
from sf_assets.errors import (
    OrgUnreachableError,
    PageBrokenError,
    QueryTooLongError,
    SalesforceError,
)
from sf_assets.salesforce.responses import (
    NOT_OF_THE_QUESTION,
    classify,
    code_and_message,
    is_busy,
    understood,
)
from sf_assets.salesforce.session import OrgSession
from sf_assets.salesforce.soql import literal
from sf_assets.windows import Window

QUERIES_A_CALL, PARTS_A_CALL = 5, 25
"""What one /composite call may hold: queries among its parts, and parts."""

ROWS_A_PAGE = 2_000
"""Most rows that a page of a query holds."""

SOQL_BYTES = 14_336
"""Longest query, as it is encoded, that surely fits into an address: an org accepts 16,384 bytes of
address and headers together, and the session's token and cookies are among them."""


_QUERY_ALL = "queryAll?q="
_CLASSIFIED = (
    "SELECT QualifiedApiName, ComplianceGroup, SecurityClassification FROM FieldDefinition "
    "WHERE EntityDefinition.QualifiedApiName = '{name}'"
)
_NO_SUCH_RESOURCE = {404, 405, 501}
_MAY_BE_OF_ONE = 500
"""A status by which an org fails a call for one part of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one of many questions asked together.

    Attributes:
        body: What was answered, where all is well.
        error: Why there is no answer, or None.
    """

    body: Any = None
    error: SalesforceError | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What the org tells of deletions (getDeleted).

    Attributes:
        ids: Records that were deleted, many of which lie in the recycle bin.
        covered: Until when that is all of them.
    """

    ids: tuple[str, ...]
    covered: datetime


class RestApi:
    """REST resources of one org.

    Args:
        session: The open session.
        version: API version, such as `66.0`.
    """

    def __init__(self, session: OrgSession, version: str) -> None:
        self._session = session
        self._version = version
        self._composite_works = True

    @cached_property
    def _client(self) -> Any:
        from simple_salesforce.api import Salesforce

        token = self._session.token
        return Salesforce(
            session_id=token.access_token,
            instance_url=token.instance_url,
            version=self._version,
            session=self._session,
            parse_float=str,  # every digit as it arrives
            object_pairs_hook=dict,
        )

    def user(self) -> Mapping[str, Any]:
        """Who we are: the userinfo document."""
        path = "/services/oauth2/userinfo"
        with understood(f"GET {path}"):
            return dict(self._session.get(f"{self._session.token.instance_url}{path}").json())

    def limits(self) -> Mapping[str, Any]:
        """The org's limits: name → `{"Max": n, "Remaining": n}`."""
        with understood("GET limits"):
            return dict(self._client.limits())

    def objects(self) -> list[Mapping[str, Any]]:
        """All objects that the user may see, with their flags (describeGlobal)."""
        with understood("GET sobjects"):
            return list(self._client.describe()["sobjects"])

    def objects_changed(self, since: datetime) -> bool:
        """Whether an object's metadata may have changed; one call, however many objects there are.

        Args:
            since: By the org's time.
        """
        url = f"{self._session.token.instance_url}/services/data/v{self._version}/sobjects"
        headers = {"If-Modified-Since": format_datetime(since.astimezone(UTC), usegmt=True)}
        with self._session.get(url, headers=headers, stream=True) as answer:
            return bool(answer.status_code != requests.codes.not_modified)

    def describe(self, names: Iterable[str]) -> Iterator[tuple[str, ObjectInfo | SalesforceError]]:
        """Describe objects, 25 to a call. One that fails does not fail the others."""
        paths = {name: f"sobjects/{name}/describe" for name in names}
        for name, answer in self._batch(paths, PARTS_A_CALL):
            yield name, answer.error or _described(name, answer.body)

    def classifications(
        self, names: Iterable[str]
    ) -> Iterator[tuple[str, Mapping[str, tuple[str, ...]] | SalesforceError]]:
        """How fields are classified: by field, categories of compliance and the sensitivity.

        The org tells it by object, of the fields that the user may read; five to a call.
        """
        queries = {name: _CLASSIFIED.format(name=name) for name in names}
        for name, answer in self.query_each(queries):
            yield name, answer.error or _classification(name, answer.body)

    def query_each(self, queries: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
        """Answer many small queries, deleted rows included, five to a call.

        Args:
            queries: SOQL by a key of the caller's.

        Yields:
            Each key with its answer, whose body is a query result.
        """
        paths = {key: f"{_QUERY_ALL}{quote(soql)}" for key, soql in queries.items()}
        for key, answer in self._batch(paths, QUERIES_A_CALL):
            yield key, answer if answer.error else _result(answer.body)

    def deleted(
        self, windows: Mapping[str, Window]
    ) -> Iterator[tuple[str, "Deleted | SalesforceError"]]:
        """Deletions of many objects, 25 to a call, each within a window of time.

        Times are cut to the minute by the org.
        """
        paths = {
            name: f"sobjects/{name}/deleted?start={quote(literal(window.start))}"
            f"&end={quote(literal(window.end))}"
            for name, window in windows.items()
        }
        for name, answer in self._batch(paths, PARTS_A_CALL):
            yield name, answer.error or _deleted(name, answer.body, windows[name].end)

    def pages(self, soql: str) -> Iterator[Mapping[str, Any]]:
        """The result of a query, deleted rows included, page by page as the org cuts it.

        Raises:
            QueryTooLongError: No address has room for it; it is not sent.
        """
        _make_sure_it_fits(_QUERY_ALL + quote(soql))
        visited: set[str] = set()
        following: str | None = ""
        while following is not None:
            with understood("a query"):
                answer = (
                    self._client.query_more(following, identifier_is_url=True)
                    if following
                    else self._client.query(soql, include_deleted=True)
                )
                link = None if answer["done"] else _path(answer["nextRecordsUrl"])
                page = _page(answer)
            yield page
            if link in visited:
                raise PageBrokenError(f"the pages of a query go round in a circle, at {link}")
            visited.add(following)
            following = link

    def records(self, soql: str) -> list[Mapping[str, Any]]:
        """The records of a query that brings few: as many as announced, and none of them twice.

        Whoever concludes from what is not among them has to know that all of them are there.

        Raises:
            QueryTooLongError: No address has room for it; it is not sent.
            PageBrokenError: One came in place of another, or is missing.
        """
        total, found = 0, list[Mapping[str, Any]]()
        for page in self.pages(soql):
            total = page["totalSize"]
            found += page["records"]
        with understood("a query"):
            different = len({record["Id"] for record in found})
        if not different == len(found) == total:
            raise PageBrokenError(
                f"a query announced {total} records and brought {len(found)}, {different} of them "
                "different ones"
            )
        return found

    def _batch(self, paths: Mapping[str, str], size: int) -> Iterator[tuple[str, Answer]]:
        """GET many resources, `size` to a /composite call, or one by one where there is none.

        What a call with many of them fails by may be one's fault, so each is then asked for alone.
        """
        items = list(paths.items())
        for start in range(0, len(items), size):
            chunk = items[start : start + size]
            # In the body of a call there is room for more than in an address.
            together = len(chunk) > 1 or not _fits(chunk[0][1])
            together = together and self._composite_works
            answers = self._composite([path for _, path in chunk]) if together else {}
            alone = {n: self._single(p) for n, (_, p) in enumerate(chunk) if n not in answers}
            if together and not answers:
                self._judge_composite([answer.error for answer in alone.values()])
            for number, (key, _) in enumerate(chunk):
                yield key, (answers | alone)[number]

    def _composite(self, paths: Sequence[str]) -> dict[int, Answer]:
        """Answers by position, but for parts that the org was too busy for.

        None at all where the call failed, which may be because of one of them, or where the org
        offers no such resource.
        """
        prefix = f"/services/data/v{self._version}"
        request = [
            {"method": "GET", "url": f"{prefix}/{path}", "referenceId": f"r{number}"}
            for number, path in enumerate(paths)
        ]
        numbers = {f"r{number}": number for number in range(len(paths))}
        try:
            with understood("POST composite"):
                answer = self._client.restful(
                    "composite", method="POST", json={"compositeRequest": request}
                )
                parts = list(answer["compositeResponse"])
        except NOT_OF_THE_QUESTION as error:
            if _was_cut_short(error.__context__) or error.status == _MAY_BE_OF_ONE:
                return {}
            raise
        except SalesforceError as error:
            if error.status in _NO_SUCH_RESOURCE:
                self._composite_works = False
            return {}
        answers = {}
        for part in parts:
            # What cannot be read of one part is that part's, which is then asked for alone.
            with suppress(SalesforceError), understood("a part of POST composite"):
                number, status = numbers[part["referenceId"]], int(part["httpStatusCode"])
                if not is_busy(status, *code_and_message(part["body"])):
                    answers[number] = _part(paths[number], status, part["body"])
        return answers

    def _judge_composite(self, errors: Sequence[SalesforceError | None]) -> None:
        """Draw from what questions were answered alone why none was answered with the others.

        Raises:
            OrgUnreachableError: None was, so it is the org.
        """
        if not any(errors):
            self._composite_works = False  # nothing was wrong with any of them
        for error in errors:
            if not isinstance(error, OrgUnreachableError):
                return
        if errors and errors[0]:
            raise errors[0]

    def _single(self, path: str) -> Answer:
        try:
            _make_sure_it_fits(path)
            with understood(f"GET {path.partition('?')[0]}"):
                return Answer(dict(self._client.restful(path)))
        except SalesforceError as error:
            return Answer(error=error)


def _classification(
    name: str, body: Mapping[str, Any]
) -> Mapping[str, tuple[str, ...]] | SalesforceError:
    try:
        with understood("a query of FieldDefinition"):
            found = {
                str(row["QualifiedApiName"]): tuple(
                    part
                    for text in (row["ComplianceGroup"], row["SecurityClassification"])
                    for part in (text or "").split(";")
                    if part
                )
                for row in body["records"]
            }
    except SalesforceError as error:
        return error
    if not found or not body.get("done", True):
        return SalesforceError(f"the org does not tell of all fields of {name} how they are")
    return found


def _was_cut_short(cause: BaseException | None) -> bool:
    """Whether an answer that is no JSON began as some, or not at all: a page for people does."""
    return isinstance(cause, requests.JSONDecodeError) and cause.doc.lstrip()[:1] in {"", "{", "["}


def _fits(path: str) -> bool:
    """Whether an address has room for a resource with its query."""
    return len(path) <= len(_QUERY_ALL) + SOQL_BYTES


def _make_sure_it_fits(path: str) -> None:
    if not _fits(path):
        raise QueryTooLongError(
            f"the query is {len(path):,} bytes long, and an address has room for {SOQL_BYTES:,}: "
            "select fewer fields, or make its condition shorter"
        )


def _part(path: str, status: int, body: Any) -> Answer:
    """The answer that a part of a composite call holds."""
    if status == requests.codes.ok:
        return Answer(dict(body))
    what = f"GET {path.partition('?')[0]}"
    return Answer(error=classify(what, status, *code_and_message(body)))


def _result(body: Any) -> Answer:
    try:
        with understood("a query"):
            return Answer(_page(body))
    except SalesforceError as error:
        return Answer(error=error)


def _page(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of a query's result, made sure to have a number of rows, and rows.

    Raises:
        LookupError, TypeError, ValueError: It has not.
    """
    if not all(isinstance(record, dict) for record in body["records"]):
        raise TypeError("a record is no document")
    return {**body, "totalSize": int(body["totalSize"])}


def _path(link: str) -> str:
    """The path of a link, which simple-salesforce puts right behind the host's name."""
    return f"/{urlsplit(link).path.lstrip('/')}"


def _deleted(name: str, document: Mapping[str, Any], end: datetime) -> Deleted | SalesforceError:
    """What was told of an object: never of a time that was not asked about."""
    try:
        with understood(f"the deletions of {name}"):
            ids = tuple(str(row["id"]) for row in document["deletedRecords"])
            covered = datetime.fromisoformat(document["latestDateCovered"])
            return Deleted(ids, min(covered.astimezone(UTC).replace(microsecond=0), end))
    except SalesforceError as error:
        return error


def _described(name: str, document: Mapping[str, Any]) -> ObjectInfo | SalesforceError:
    try:
        with understood(f"the describe of {name}"):
            return parse_describe(document)
    except SalesforceError as error:
        return error
