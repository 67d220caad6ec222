"""What the objects look like: asked of the org now and then, kept in raw between."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sf_assets.catalog import ObjectSpec
from sf_assets.describe import FieldInfo, Loss, ObjectInfo
from sf_assets.errors import ObjectUnavailableError, SfAssetsError, StorageError
from sf_assets.failures import Work, alone
from sf_assets.naming import same_name
from sf_assets.pipeline.org import Org
from sf_assets.salesforce.rest import PARTS_A_CALL
from sf_assets.salesforce.soql import Query, generate, read_soql
from sf_assets.storage.describes import Kept
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
        """Those of the columns that are datetimes, or may hold one among values of other types."""
        return frozenset(f.name for f in self.info.fields if f.type in {"datetime", "anyType"})


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
    found: dict[str, Described] = {}
    failed: dict[str, SfAssetsError] = {}
    for spec in specs:
        with alone(Work.DESCRIBE, spec.slug, failed):
            answer = answers[spec.slug]
            if isinstance(answer, SfAssetsError):
                raise answer
            found[spec.slug] = Described(spec, answer, _query(spec, answer))
    failed |= _ask_parents(org, found.values(), anew=anew)
    return {spec.slug: failed.get(spec.slug) or found[spec.slug] for spec in specs}


def columns_of(lake: Lake, slug: str, fields: Iterable[str]) -> dict[str, Column]:
    """Columns of fields and parent fields of an object, from the describes kept in raw.

    Raises:
        StorageError: No describe, kept now or ever, knows one of them.
    """
    kept = KeptDescribes(lake)
    columns, unknown = {}, []
    for path in fields:
        if field := kept.walk(slug, path)[1]:
            columns[column_name(path)] = column_of(field, column_name(path))
        else:
            unknown.append(path)
    if unknown:
        raise StorageError(
            f"{slug}: no describe tells the type of {', '.join(unknown)}, and raw has values of "
            f"it; silver stays as it is. Restore {lake.describes.uri} from a backup, or let this "
            "user see the field again, and run `sf-assets refresh`"
        )
    return columns


class KeptDescribes:
    """The describes kept in raw, read as they are needed."""

    def __init__(self, lake: Lake) -> None:
        self._describes = lake.describes
        self._read: dict[str, ObjectInfo | None] = {}
        self._earlier: dict[str, list[ObjectInfo]] = {}

    @property
    def names(self) -> Collection[str]:
        """Lower-cased names of the objects that have one."""
        return self._describes.names()

    def info(self, name: str) -> ObjectInfo | None:
        """The describe of an object, or None."""
        slug = name.lower()
        if slug not in self._read:
            kept = self._describes.last([slug]).get(slug)
            self._read[slug] = kept.info if kept else None
        return self._read[slug]

    def walk(self, slug: str, path: str) -> tuple[list[str], FieldInfo | None]:
        """Follow a path such as `Account.Owner.Name`.

        Returns:
            The objects that it leads over, and its field: as it is, else as it was last. None when
            no describe ever knew it.
        """
        *parents, last = path.split(".")
        here, visited = [slug], []
        for parent in parents:
            links = list(self._fields(here, partial(_leads, to=parent)))
            here = [target for link in links for target in link.reference_to]
            visited += here
        return visited, next(self._fields(here, partial(_is_called, name=last)), None)

    def _fields(
        self, names: Iterable[str], fits: Callable[[FieldInfo], bool]
    ) -> Iterator[FieldInfo]:
        """Fields of these objects that fit; of an object that has none now, those of earlier."""
        for name in names:
            info = self.info(name)
            found = [field for field in info.fields if fits(field)] if info else []
            yield from found or self._once(name, fits)

    def _once(self, name: str, fits: Callable[[FieldInfo], bool]) -> list[FieldInfo]:
        slug = name.lower()
        if slug not in self._earlier:
            history = [infos[slug] for _, infos in self._describes.history({slug}) if infos]
            self._earlier[slug] = history[::-1]
        found = ([f for f in info.fields if fits(f)] for info in self._earlier[slug])
        return next(filter(None, found), [])


def _leads(field: FieldInfo, to: str) -> bool:
    return field.leads_to(to)


def _is_called(field: FieldInfo, name: str) -> bool:
    return same_name(field.name, name)


def _ask_parents(org: Org, found: Collection[Described], *, anew: bool) -> dict[str, SfAssetsError]:
    """Make sure that the objects which parent fields lead over are described.

    Returns:
        By lower-cased name of the object, why they cannot be found.
    """
    paths = [(d.spec.slug, field) for d in found for field in d.query.fields if "." in field]
    failed: dict[str, SfAssetsError] = {}
    asked: set[str] = set()
    while paths:
        kept = KeptDescribes(org.lake)
        names: set[str] = set()
        for slug, path in paths:
            with alone(Work.DESCRIBE, slug, failed):
                names.update(kept.walk(slug, path)[0])
        names -= asked
        if not names:
            break
        _ask(org, sorted(names), anew=anew)
        asked |= names
    return failed


def _query(spec: ObjectSpec, info: ObjectInfo) -> Query:
    if spec.soql:
        return read_soql(spec.soql, info)
    return generate(info, only=spec.fields, exclude=spec.exclude)


def _ask(org: Org, names: Collection[str], *, anew: bool) -> dict[str, ObjectInfo | SfAssetsError]:
    """Describes by lower-cased name, from what is kept where that is fresh."""
    slugs = {name.lower(): name for name in names}
    kept = org.lake.describes.last(slugs)
    now = org.client.now()
    answers: dict[str, ObjectInfo | SfAssetsError] = {
        slug: item.info
        for slug, item in kept.items()
        if not anew and _is_fresh(item, now) and item.info.gone is None
    }
    stale = slugs.keys() - answers.keys()
    there = {slug for slug in stale & kept.keys() if kept[slug].info.gone is None}
    if not anew and _unchanged(org, [kept[slug] for slug in there]):
        answers |= org.lake.describes.keep(now, kept, there, lambda _, info: info)
        stale -= there
    told = {
        name.lower(): answer
        for name, answer in org.client.rest.describe([slugs[slug] for slug in sorted(stale)])
    }
    known = org.lake.describes.keep(
        now, kept, told, lambda slug, before: _remembered(org, told[slug], before, now)
    )
    for slug, answer in told.items():
        if isinstance(answer, ObjectInfo):
            answers[slug] = known.get(slug, answer)
        else:
            answers[slug] = _explained(org, slugs[slug], answer)
    return answers


def _is_fresh(kept: Kept, now: datetime) -> bool:
    """Whether it was asked for lately; what is dated ahead was asked by a wrong clock."""
    return timedelta(0) <= now - kept.asked_at < MAX_AGE


def _unchanged(org: Org, kept: Sequence[Kept]) -> bool:
    """Whether no object of the org has changed since these describes were asked for.

    That is one call, so it is worth it only where describing takes more.
    """
    if len(kept) <= PARTS_A_CALL:
        return False
    return not org.client.rest.objects_changed(min(item.asked_at for item in kept))


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
