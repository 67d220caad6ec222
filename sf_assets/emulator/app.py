"""From an HTTP request to the function that answers it: addresses, sessions, counting."""

import re

from sf_assets.emulator.auth import OAuth
from sf_assets.emulator.bulk import BulkQuery
from sf_assets.emulator.composite import CompositeResources
from sf_assets.emulator.control import PATH as CONTROL_PATH
from sf_assets.emulator.control import Control
from sf_assets.emulator.describe import DescribeResources
from sf_assets.emulator.errors import ApiError, not_found
from sf_assets.emulator.limit_resources import LimitResources
from sf_assets.emulator.messages import Reply, Request, error_reply, json_reply
from sf_assets.emulator.org import Org
from sf_assets.emulator.query import QueryResources
from sf_assets.emulator.replication import ReplicationResources
from sf_assets.emulator.router import Route, Router
from sf_assets.emulator.sessions import unknown_session
from sf_assets.emulator.soap import SoapResources
from sf_assets.emulator.sobject_collections import CollectionResources
from sf_assets.emulator.sobjects import SObjectResources
from sf_assets.emulator.tree import TreeResources

_OLDEST, _NEWEST = 31, 67
_RESOURCE = re.compile(r"/services/data/v(\d+\.\d)(/.*)?")
_SEASONS = ("Winter", "Spring", "Summer")
# Spring '26 is version 66.0, and three versions make a year.
_SPRING_26 = 66


class App:
    """All addresses of one org."""

    def __init__(self, org: Org) -> None:
        self.org = org
        oauth = OAuth(org)
        soap = SoapResources(org)
        self._open = Router(
            [
                Route("POST", "/services/oauth2/token", oauth.token),
                Route("POST", "/services/oauth2/revoke", oauth.revoke),
                Route("GET", "/services/oauth2/revoke", oauth.revoke),
                Route("GET", "/services/oauth2/authorize", oauth.authorize),
                Route("POST", "/services/Soap/u/{version}", soap.call),
                Route("POST", "/services/Soap/u/{version}/{org_id}", soap.call),
                Route("GET", "/services/data", self._versions),
            ]
        )
        control = Control(org)
        self._control = Router(
            [Route("POST", CONTROL_PATH, control.order), Route("GET", CONTROL_PATH, control.state)]
        )
        self._identity = Router(
            [
                Route("GET", "/services/oauth2/userinfo", oauth.user_info),
                Route("POST", "/services/oauth2/userinfo", oauth.user_info),
                Route("GET", "/id/{org_id}/{user_id}", oauth.identity),
            ]
        )
        self._resources = Router(self._routes())

    def answer(self, request: Request) -> Reply:
        """Answer a request; every refusal becomes a reply."""
        try:
            if match := _RESOURCE.fullmatch(request.path):
                return self._resource(request, match[1], match[2] or "")
            if request.path.startswith(("/services/oauth2/userinfo", "/id/")):
                return self._who(request)
            if self.org.settings.faults and request.path == CONTROL_PATH:
                return self._control.answer(request)
            return self._open.answer(request)
        except ApiError as error:
            return error_reply(error)

    def resource(self, request: Request) -> Reply:
        """Answer a resource for a session that is known; sub-requests come in here.

        Args:
            request: Its path is what follows the version.
        """
        try:
            _check_version(request.version)
            return self._resources.answer(request)
        except ApiError as error:
            return error_reply(error)

    def _resource(self, request: Request, version: str, path: str) -> Reply:
        user_id = self._user(request)
        self.org.limits.count_request()
        method = request.query.get("_HttpMethod", "POST") if request.method == "POST" else None
        asked = request.at(
            path=path,
            version=version,
            user_id=user_id,
            method=method.upper() if method else request.method,
        )
        reply = self.resource(asked)
        reply.headers.setdefault("Sforce-Limit-Info", self.org.limits.header())
        return reply

    def _user(self, request: Request) -> str:
        """The user of a session, which is known only at the instance that the org is on.

        Raises:
            ApiError: INVALID_SESSION_ID.
        """
        user_id = self.org.sessions.user(request.headers.get("authorization", ""))
        if self.org.instance not in (None, request.origin):
            raise unknown_session()
        return user_id

    def _who(self, request: Request) -> Reply:
        try:
            self.org.sessions.user(request.headers.get("authorization", ""))
        except ApiError:
            return Reply(403, "Bad_OAuth_Token", "text/html;charset=UTF-8")
        return self._identity.answer(request)

    def _versions(self, _request: Request) -> Reply:
        numbers = range(_OLDEST, _NEWEST + 1)
        return json_reply(
            [
                {"label": _label(n), "url": f"/services/data/v{n}.0", "version": f"{n}.0"}
                for n in numbers
            ]
        )

    def _root(self, request: Request) -> Reply:
        names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs")
        paths = {name: f"{request.base}/{name}" for name in names}
        identity = f"{request.origin}/id/{self.org.id}/{self.org.user.id}"
        return json_reply({**paths, "identity": identity})

    def _routes(self) -> list[Route]:
        query = QueryResources(self.org)
        describe = DescribeResources(self.org)
        limits = LimitResources(self.org)
        return [
            Route("GET", "", self._root),
            Route("GET", "/query", query.query),
            Route("GET", "/queryAll", query.query_all),
            Route("GET", "/query/{locator}", query.more),
            Route("GET", "/queryAll/{locator}", query.more),
            Route("GET", "/limits", limits.limits),
            Route("GET", "/limits/recordCount", limits.record_count, since=40),
            Route("GET", "/sobjects", describe.everything),
            Route("GET", "/sobjects/{object_name}", describe.basics),
            Route("GET", "/sobjects/{object_name}/describe", describe.describe),
            *self._record_routes(),
            *self._composite_routes(),
            *self._job_routes(),
        ]

    def _record_routes(self) -> list[Route]:
        record = SObjectResources(self.org)
        replication = ReplicationResources(self.org)
        one = "/sobjects/{object_name}"
        by_key = f"{one}/{{field}}/{{value}}"
        return [
            Route("POST", one, record.create),
            Route("POST", f"{one}/Id", record.create_by_id),
            Route("GET", f"{one}/updated", replication.updated),
            Route("GET", f"{one}/deleted", replication.deleted),
            Route("GET", f"{one}/{{record_id}}", record.read),
            Route("PATCH", f"{one}/{{record_id}}", record.update),
            Route("DELETE", f"{one}/{{record_id}}", record.delete),
            Route("GET", by_key, record.read_by_key),
            Route("PATCH", by_key, record.upsert),
            Route("DELETE", by_key, record.delete_by_key),
        ]

    def _composite_routes(self) -> list[Route]:
        collection = CollectionResources(self.org)
        composite = CompositeResources(self.org, self.resource)
        tree = TreeResources(self.org)
        many = "/composite/sobjects"
        of_one = f"{many}/{{object_name}}"
        return [
            Route("POST", many, collection.create, since=42),
            Route("PATCH", many, collection.update, since=42),
            Route("DELETE", many, collection.delete, since=42),
            Route("POST", of_one, collection.retrieve, since=42),
            Route("GET", of_one, collection.retrieve_by_address, since=42),
            Route("PATCH", f"{of_one}/{{field}}", collection.upsert, since=46),
            Route("POST", "/composite", composite.composite, since=38),
            Route("POST", "/composite/batch", composite.batch, since=34),
            Route("POST", "/composite/tree/{object_name}", tree.create, since=34),
        ]

    def _job_routes(self) -> list[Route]:
        bulk = BulkQuery(self.org)
        jobs, one = "/jobs/query", "/jobs/query/{job_id}"
        return [
            Route("POST", jobs, bulk.create, since=47),
            Route("GET", jobs, bulk.list_jobs, since=47),
            Route("GET", "/jobs/ingest", bulk.list_jobs, since=41),
            Route("GET", one, bulk.info, since=47),
            Route("PATCH", one, bulk.change, since=47),
            Route("DELETE", one, bulk.delete, since=47),
            Route("GET", f"{one}/results", bulk.results, since=47),
            Route("GET", f"{one}/resultPages", bulk.result_pages, since=58),
        ]


def _check_version(version: str) -> None:
    """Refuse a version that the org does not offer.

    Raises:
        ApiError: UNSUPPORTED_API_VERSION for one that is retired, else NOT_FOUND.
    """
    if float(version) < _OLDEST:
        message = f"The API version {version} is retired."
        raise ApiError(410, "UNSUPPORTED_API_VERSION", message)
    if float(version) > _NEWEST or not version.endswith(".0"):
        raise not_found()


def _label(version: int) -> str:
    """The release that brought a version: `Spring '26`."""
    season = (version - _SPRING_26 + 1) % len(_SEASONS)
    year = 26 + (version - _SPRING_26 + 1) // len(_SEASONS)
    return f"{_SEASONS[season]} '{year:02d}"
