"""The describe resources: what objects there are and what they are like."""

import re
import zlib
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from sf_assets.emulator.conditional import not_modified
from sf_assets.emulator.errors import not_found
from sf_assets.emulator.messages import Reply, Request, json_reply, to_json
from sf_assets.emulator.metadata import global_describe
from sf_assets.emulator.org import Org
from sf_assets.emulator.schema import SObject
from sf_assets.emulator.soql.scope import name_field
from sf_assets.emulator.store import quoted

_VERSION = re.compile(r"/services/data/v\w+\.0/")
_HOST = re.compile(r"https?://[^/]+/")
_RECENT = 5


class DescribeResources:
    """`/sobjects` and the describe of each object."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._documents = lru_cache(maxsize=512)(self._text)

    def everything(self, request: Request) -> Reply:
        """`GET /sobjects`: all objects in short."""
        return self._unless_modified(request, "")

    def describe(self, request: Request, object_name: str) -> Reply:
        """`GET /sobjects/X/describe`: one object in full."""
        return self._unless_modified(request, self.require(object_name).name)

    def basics(self, request: Request, object_name: str) -> Reply:
        """`GET /sobjects/X`: one object in short, with some of its records."""
        sobject = self.require(object_name)
        listed = global_describe(self._org.schema)["sobjects"]
        short = next(o for o in listed if o["name"] == sobject.name)
        recent = self._recent(request, sobject)
        return json_reply({"objectDescribe": _rebased(short, request), "recentItems": recent})

    def require(self, object_name: str) -> SObject:
        """The object of that name.

        Raises:
            ApiError: NOT_FOUND.
        """
        sobject = self._org.schema.get(object_name)
        if sobject is None:
            raise not_found()
        return sobject

    def _unless_modified(self, request: Request, name: str) -> Reply:
        admin = self._org.admin
        modified = admin.modified_at(name) if name else admin.modified
        text = self._documents(name, request.version, request.origin, modified)
        headers = {
            "Last-Modified": format_datetime(modified, usegmt=True),
            "ETag": f'"{zlib.crc32(text.encode()):08x}"',
        }
        return not_modified(request, modified, headers) or Reply(200, text, headers=headers)

    def _text(self, name: str, version: str, origin: str, modified: datetime) -> str:
        del modified  # only tells what is kept from what has to be written anew
        request = Request("GET", "", version=version, origin=origin)
        if name:
            return to_json(_rebased(self.require(name).document, request))
        listed = global_describe(self._org.schema)
        listed["sobjects"] = [_rebased(o, request) for o in listed["sobjects"]]
        return to_json(listed)

    def _recent(self, request: Request, sobject: SObject) -> list[dict[str, Any]]:
        """A few records, the last modified first."""
        stamp = next(
            (f for n in ("LastModifiedDate", "CreatedDate") if (f := sobject.field(n))), None
        )
        if stamp is None or name_field(sobject) is None:
            return []
        rows = self._org.store.rows(
            f'SELECT "Id" FROM {sobject.rows_sql} ORDER BY {quoted(stamp.name)} DESC, "Id"'
            f" LIMIT {_RECENT}"
        )
        url = f"{request.base}/sobjects/{sobject.name}"
        return [
            {"attributes": {"type": sobject.name, "url": f"{url}/{key}"}, "Id": key}
            for (key,) in rows
        ]


def _rebased(document: Any, request: Request) -> dict[str, Any]:
    """A describe whose addresses are those of this org and of the version asked for."""
    urls = document.get("urls")
    if not urls:
        return dict(document)
    return {**document, "urls": {name: _url(url, request) for name, url in urls.items()}}


def _url(url: Any, request: Request) -> Any:
    if not isinstance(url, str):
        return url
    return _HOST.sub(f"{request.origin}/", _VERSION.sub(f"{request.base}/", url))
