"""A scripted server that answers as an org does, until a test tells it otherwise."""

import csv
import io
import itertools
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from sf_assets.salesforce.client import Client, connect
from sf_assets.settings import Credentials
from sf_assets_tests.salesforce.scripted import Heard, Reply, ScriptedServer, as_json, failure

ORG_ID = "00D5g000004vXYZEA2"
USER_ID = "0055g00000AbCdEAAV"
JOB_ID = "7505g000007UvWxAAK"
DATA = "/services/data/v66.0"
JOBS = f"{DATA}/jobs/query"
SECRET = "s3cret-of-the-connected-app"
EXPIRED = failure(401, "INVALID_SESSION_ID", "Session expired or invalid")

Breakage = Callable[[Reply], Reply]


class ScriptedOrg(ScriptedServer):
    """Logs in by OAuth, lists versions, and lets in who has the newest token.

    Attributes:
        tokens: All access tokens granted.
        valid: Those that are still good.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.tokens: list[str] = []
        self.valid: set[str] = set()
        self.on("POST", "/services/oauth2/token", self.grant)
        versions = [
            {"label": f"v{n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"}
            for n in range(31, 67)
        ]
        self.on("GET", "/services/data", as_json(versions))
        self.on("GET", "/services/oauth2/userinfo", as_json({"organization_id": ORG_ID}))

    @property
    def credentials(self) -> Credentials:
        return Credentials(
            login_url=self.url, client_id="the-client", client_secret=SecretStr(SECRET)
        )

    def grant(self, _: Heard) -> Reply:
        """The answer to a login."""
        token = f"{ORG_ID[:15]}!AQ{len(self.tokens):06d}"
        self.tokens.append(token)
        self.valid.add(token)
        return as_json(
            {
                "access_token": token,
                "instance_url": self.url,
                "id": f"https://login.salesforce.com/id/{ORG_ID}/{USER_ID}",
                "token_type": "Bearer",
                "issued_at": "1795255200000",
                "signature": "c2lnbmF0dXJl",
                "scope": "id api",
            }
        )

    def expire(self) -> None:
        """End all sessions."""
        self.valid.clear()

    def answer(self, request: Heard) -> Reply:
        if request.path.startswith("/services/data/v") and request.token not in self.valid:
            return EXPIRED
        return super().answer(request)


@contextmanager
def connected(org: ScriptedOrg, **changes: Any) -> Iterator[Client]:
    """A client of an org."""
    client = connect(org.credentials.model_copy(update=changes))
    try:
        yield client
    finally:
        client.session.close()


def csv_page(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """A page as Bulk API 2.0 writes it: all quoted, LF at the ends of rows."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def numbered(first: int, count: int) -> list[list[str]]:
    """Rows with an Id and a Name that tell their number."""
    return [[f"001{n:012d}AAA", f"Account {n}"] for n in range(first, first + count)]


@dataclass
class ScriptedJob:
    """A query job of a scripted org and its pages.

    Attributes:
        org: Where to put it.
        pages: Rows of each page.
        rows: What the job says it processed; None for the truth.
        states: States that a look at the job shows in turn; the last one stays.
        error: Its `errorMessage`.
        listing: Body of each resultPages answer in turn; None when the org has no such resource.
        broken: By number of the page, from 0: how its next deliveries differ from a good one.
    """

    org: ScriptedOrg
    pages: Sequence[Sequence[Sequence[str]]]
    rows: int | None = None
    states: Sequence[str] = ("JobComplete",)
    error: str | None = None
    listing: Sequence[Any] | None = None
    broken: dict[int, list[Breakage]] = field(default_factory=dict)
    header: Sequence[str] = ("Id", "Name")

    def __post_init__(self) -> None:
        self._states = itertools.chain(self.states, itertools.repeat(self.states[-1]))
        self.org.on("POST", JOBS, lambda _: as_json(self.info("UploadComplete")))
        self.org.on("GET", f"{JOBS}/{JOB_ID}", lambda _: as_json(self.info(next(self._states))))
        self.org.on("GET", f"{JOBS}/{JOB_ID}/results", self._page)
        self.org.on("PATCH", f"{JOBS}/{JOB_ID}", lambda _: as_json(self.info("Aborted")))
        self.org.on("DELETE", f"{JOBS}/{JOB_ID}", Reply(204))
        if self.listing is not None:
            listed = [as_json(document) for document in self.listing]
            self.org.on("GET", f"{JOBS}/{JOB_ID}/resultPages", *listed)

    def info(self, state: str) -> dict[str, Any]:
        """The job as the org tells of it."""
        rows = sum(map(len, self.pages)) if self.rows is None else self.rows
        return {
            "id": JOB_ID,
            "operation": "queryAll",
            "object": "Account",
            "createdById": USER_ID,
            "createdDate": "2026-11-21T10:00:00.000+0000",
            "systemModstamp": "2026-11-21T10:00:01.000+0000",
            "state": state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": 66.0,
            "jobType": "V2Query",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
            "numberRecordsProcessed": rows,
            "retries": 0,
            "totalProcessingTime": 10,
        } | ({} if self.error is None else {"errorMessage": self.error})

    def _page(self, request: Heard) -> Reply:
        number = int(request.query.get("locator", "page0").removeprefix("page"))
        rows = self.pages[number]
        following = f"page{number + 1}" if number + 1 < len(self.pages) else "null"
        headers = {
            "Content-Type": "text/csv",
            "Sforce-NumberOfRecords": str(len(rows)),
            "Sforce-Locator": following,
        }
        good = Reply(200, csv_page(self.header, rows), headers)
        breakages = self.broken.get(number)
        return breakages.pop(0)(good) if breakages else good


def links(numbers: Sequence[int], following: str | None = None) -> dict[str, Any]:
    """A resultPages answer in the guide's shape."""
    path = f"{JOBS}/{JOB_ID}"
    pages = [{"resultUrl": f"{path}/results?locator=page{n}"} for n in numbers]
    link = following and f"{path}/resultpages?locator={following}"
    return {"resultPages": pages, "nextRecordsUrl": link, "done": following is None}


def with_headers(**headers: str | None) -> Breakage:
    """A breakage that changes headers; `_` in names stands for `-`."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda good: replace(good, headers={**good.headers, **changed})
