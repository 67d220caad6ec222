"""`/limits` and `/limits/recordCount`."""

from sf_assets.emulator.messages import Reply, Request, json_reply
from sf_assets.emulator.org import Org


class LimitResources:
    """What of the org's limits is left, and how many records it has."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def limits(self, _request: Request) -> Reply:
        """`GET /limits`."""
        return json_reply(self._org.limits.document())

    def record_count(self, request: Request) -> Reply:
        """`GET /limits/recordCount?sObjects=A,B`: an estimate; all objects if none is named."""
        asked = request.query.get("sObjects")
        schema = self._org.schema
        names = [n.strip() for n in asked.split(",")] if asked else [o.name for o in schema]
        found = [schema.get(name) for name in names]
        counts = [
            {"count": count, "name": o.name}
            for o in found
            if o is not None
            and o.document.get("queryable", True)
            and (count := self._org.counts.count(o.name)) is not None
        ]
        return json_reply({"sObjects": counts})
