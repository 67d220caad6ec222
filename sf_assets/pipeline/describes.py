"""What the objects look like: asked of the org now and then, kept in raw between."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sf_assets.catalog import ObjectSpec
from sf_assets.describe import FieldInfo, Loss, ObjectInfo
from sf_assets.errors import ObjectUnavailableError, SfAssetsError
from sf_assets.pipeline.org import Org
from sf_assets.salesforce.rest import PARTS_A_CALL
from sf_assets.salesforce.soql import Query, generate, read_soql
from sf_assets.storage.history import keep_changed
from sf_assets.storage.lake import Lake
from sf_assets.storage.slices import column_name
from sf_assets.warehouse.columns import Column, column_of

MAX_AGE = timedelta(hours=1)
"""A describe older than this is asked for anew."""


@dataclass(frozen=True, slots=True)
class Described:
    """An object of the catalogue together with its describe and its query."""

    spec: ObjectSpec
    info: ObjectInfo
    query: Query

    @property
    def cursor(self) -> str | None:
        """The cursor field; None when only snapshots are possible."""
        return self.info.cursor

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of the query's fields."""
        return tuple(column_name(field) for field in self.query.fields)

    @property
    def derived(self) -> tuple[str, ...]:
        """Those of the query's fields that change without a stamp: derived ones, and parents'."""
        derived = set(self.info.derived)
        return tuple(f for f in self.query.fields if f in derived or "." in f)

    @property
    def stamps(self) -> frozenset[str]:
        """Those of the columns that are datetimes."""
        return frozenset(f.name for f in self.info.fields if f.type == "datetime")


def describe_objects(
    org: Org, specs: Iterable[ObjectSpec], *, anew: bool = False
) -> dict[str, Described | SfAssetsError]:
    """Describe objects of the catalogue, by what is kept or by asking the org.

    Args:
        org: The org.
        specs: Which objects.
        anew: Ask the org whatever the age of what is kept.

    Returns:
        By lower-cased name: the object, or why it cannot be exported.
    """
    specs = list(specs)
    answers = _ask(org, [spec.name for spec in specs], anew=anew)
    found: dict[str, Described | SfAssetsError] = {}
    for spec in specs:
        answer = answers[spec.slug]
        try:
            if isinstance(answer, SfAssetsError):
                raise answer
            found[spec.slug] = Described(spec, answer, _query(spec, answer))
        except SfAssetsError as error:
            found[spec.slug] = error
    _ask_parents(org, [item for item in found.values() if isinstance(item, Described)], anew=anew)
    return found


def columns_of(lake: Lake, slug: str, fields: Iterable[str]) -> dict[str, Column]:
    """Columns of fields and parent fields of an object, from the describes kept in raw.

    A field that no describe knows is text.
    """
    kept = KeptDescribes(lake)
    columns = {}
    for path in fields:
        field = kept.walk(slug, path)[1] or FieldInfo(name=path, type="string")
        columns[column_name(path)] = column_of(field, column_name(path))
    return columns


class KeptDescribes:
    """The describes kept in raw, read as they are needed."""

    def __init__(self, lake: Lake) -> None:
        self._documents = lake.describes()
        self._read: dict[str, ObjectInfo] = {}

    @property
    def names(self) -> Collection[str]:
        """Lower-cased names of the objects that have one."""
        return self._documents.keys()

    def info(self, name: str) -> ObjectInfo | None:
        """The describe of an object, or None."""
        slug = name.lower()
        if slug not in self._read and slug in self._documents:
            self._read[slug] = ObjectInfo.model_validate(self._documents[slug]["describe"])
        return self._read.get(slug)

    def walk(self, slug: str, path: str) -> tuple[list[str], FieldInfo | None]:
        """Follow a path such as `Account.Owner.Name`.

        Returns:
            The objects that it leads over, and its field as far as describes are there.
        """
        *parents, last = path.split(".")
        here, visited = [slug], []
        for parent in parents:
            infos = [info for name in here if (info := self.info(name))]
            links = [f for info in infos for f in info.fields if f.leads_to(parent)]
            here = [target for link in links for target in link.reference_to]
            visited += here
        fields = [f for name in here if (i := self.info(name)) and (f := i.field(last))]
        return visited, fields[0] if fields else None


def _ask_parents(org: Org, found: Collection[Described], *, anew: bool) -> None:
    """Make sure that the objects which parent fields lead over are described."""
    paths = [(d.spec.slug, field) for d in found for field in d.query.fields if "." in field]
    asked: set[str] = set()
    while paths:
        kept = KeptDescribes(org.lake)
        names = {name for slug, path in paths for name in kept.walk(slug, path)[0]} - asked
        if not names:
            return
        _ask(org, sorted(names), anew=anew)
        asked |= names


def _query(spec: ObjectSpec, info: ObjectInfo) -> Query:
    if spec.soql:
        return read_soql(spec.soql, info)
    return generate(info, only=spec.fields, exclude=spec.exclude)


def _ask(org: Org, names: Collection[str], *, anew: bool) -> dict[str, ObjectInfo | SfAssetsError]:
    """Describes by lower-cased name, from what is kept where that is fresh."""
    kept = org.lake.describes() if names else {}
    now = org.client.now()
    answers: dict[str, ObjectInfo | SfAssetsError] = {}
    for name in names:
        document = kept.get(name.lower())
        if document and not anew and now - _asked_at(document) < MAX_AGE:
            info = ObjectInfo.model_validate(document["describe"])
            if info.gone is None:
                answers[name.lower()] = info
    stale = [name for name in names if name.lower() not in answers]
    fresh = {} if anew else _unchanged(org, kept, stale, now)
    for slug, document in fresh.items():
        answers[slug] = ObjectInfo.model_validate(document["describe"])
    stale = [name for name in stale if name.lower() not in answers]
    for name, answer in org.client.rest.describe(stale):
        slug = name.lower()
        before = ObjectInfo.model_validate(kept[slug]["describe"]) if slug in kept else None
        remembered = _remembered(org, answer, before, now)
        if isinstance(answer, ObjectInfo):
            answers[slug] = remembered or answer
        else:
            answers[slug] = _explained(org, name, answer)
        if remembered:
            document = remembered.model_dump(mode="json", exclude_defaults=True)
            fresh[slug] = {"asked_at": now.isoformat(timespec="seconds"), "describe": document}
    if fresh:
        keep_changed(org.lake, now, kept, fresh)
        org.lake.keep_describes(fresh)
    return answers


def _unchanged(
    org: Org, kept: Mapping[str, Any], names: Sequence[str], now: datetime
) -> dict[str, Any]:
    """The kept describes of these objects with a new date, if no object of the org has changed.

    That is one call, so it is worth it only where describing takes more.
    """
    documents = {slug: kept[slug] for name in names if (slug := name.lower()) in kept}
    if len(documents) <= PARTS_A_CALL:
        return {}
    if org.client.rest.objects_changed(min(map(_asked_at, documents.values()))):
        return {}
    asked_at = now.isoformat(timespec="seconds")
    return {slug: {**document, "asked_at": asked_at} for slug, document in documents.items()}


def _asked_at(document: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(document["asked_at"])


def _explained(org: Org, name: str, error: SfAssetsError) -> SfAssetsError:
    """The same error, of an object that is not there with what can be done about it."""
    if not isinstance(error, ObjectUnavailableError):
        return error
    return ObjectUnavailableError(
        f"{error}; the user is {org.user}: let them read {name}, or take it out of the catalogue; "
        "what was read of it stays",
        status=error.status,
        code=error.code,
    )


def _remembered(
    org: Org, answer: ObjectInfo | SfAssetsError, before: ObjectInfo | None, now: datetime
) -> ObjectInfo | None:
    """What is known of an object after an answer; None when that is nothing new."""
    if isinstance(answer, ObjectInfo):
        if before is None:
            return answer
        return answer.remembering(before, now, org.user if answer.lacking(before) else "")
    if before is None or not isinstance(answer, ObjectUnavailableError):
        return None
    gone = before.gone or Loss(since=now, user=org.user)
    return before.model_copy(update={"gone": gone})
