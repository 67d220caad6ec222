"""What the objects look like: asked of the org now and then, kept in raw between."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from sf_assets.catalog import ObjectSpec
from sf_assets.columns.column import NUMBERS, Column, column_of
from sf_assets.describe import FieldInfo, Loss, ObjectInfo
from sf_assets.errors import (
    ConfigError,
    ObjectUnavailableError,
    SalesforceError,
    SfAssetsError,
    StorageError,
)
from sf_assets.failures import Work, isolated
from sf_assets.naming import Names, folded, same_name
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning import backoff
from sf_assets.pipeline.planning.backoff import FailedStep
from sf_assets.salesforce.rest import PARTS_A_CALL
from sf_assets.salesforce.soql import Query, generate, misnamed, read_soql
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef, column_name
from sf_assets.storage.raw_layer import RawLayer, owner_of
from sf_assets.storage.schema_cache import Describes, StoredDescribe

MAX_AGE = timedelta(hours=1)
"""A describe older than this is asked for anew."""

MAX_UNTOLD = timedelta(days=1)
"""A describe that the org told longer ago is told anew, though the org says that none changed: what
it told may have been old already, or odd."""

_NAME = ObjectInfo(
    name="Name",
    fields=tuple(
        FieldInfo(name=name, type="boolean" if name == "IsActive" else "string", relationship=to)
        for name, to in (
            ("Alias", None), ("Email", None), ("FirstName", None), ("Id", None),
            ("IsActive", None), ("LastName", None), ("MiddleName", None), ("Name", None),
            ("NameOrAlias", None), ("Phone", None), ("Suffix", None), ("Title", None),
            ("Type", None), ("Username", None),
        )
    ),
)  # fmt: skip
"""What SOQL sees of a parent that may be of several objects, beside what these have in common."""

_OF_NO_ORG = {folded(_NAME.name): _NAME}


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
    failing = {} if anew else _failing(org)
    found = _described(org, specs, failing, anew=anew)
    if not anew:  # a name that is not known may be newer than what is kept
        doubtful = [spec for spec in specs if isinstance(found[spec.slug], ConfigError)]
        found |= _described(org, doubtful, {}, anew=True)
    described = [item for item in found.values() if isinstance(item, Described)]
    failed: dict[str, SfAssetsError] = {}
    refused = _ask_parents(org, described, failing, failed, anew=anew)
    for item in described:
        with isolated(Work.DESCRIBE, item.spec.slug, failed):
            found[item.spec.slug] = _settled(org, item, refused)
    return found | failed


def _failing(org: Org) -> dict[str, datetime]:
    """By object that fails, since when its describe has to have been told to be believed."""
    now = datetime.now(UTC)
    notes = [
        backoff.lasting_failures(org.raw, what) for what in (FailedStep.EXTRACT, FailedStep.MERGE)
    ]
    return {slug: note.last_chance(now) for kept in notes for slug, note in kept.items()}


def _described(
    org: Org, specs: Sequence[ObjectSpec], failing: Mapping[str, datetime], *, anew: bool
) -> dict[str, Described | SfAssetsError]:
    answers = _ask(org, [spec.name for spec in specs], failing, anew=anew)
    found: dict[str, Described] = {}
    failed: dict[str, SfAssetsError] = {}
    for spec in specs:
        with isolated(Work.DESCRIBE, spec.slug, failed):
            answer = answers[spec.slug]
            if isinstance(answer, SfAssetsError):
                raise answer
            found[spec.slug] = Described(spec, answer, _query(org, spec, answer))
    return {spec.slug: failed.get(spec.slug) or found[spec.slug] for spec in specs}


def columns_of(raw: RawLayer, slug: str, fields: Iterable[str]) -> dict[str, Column]:
    """Columns of fields and parent fields of an object, from the describes kept in raw.

    Raises:
        StorageError: No describe, kept now or ever, knows one of them.
    """
    return _columns(_steps(raw, slug, fields).values())


def number_room(raw: RawLayer, slug: str, fields: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Digits before and after the point that describe gives the number columns among fields."""
    kept = StoredDescribes(raw)
    described = ((column_name(path), kept.walk(slug, path).field) for path in fields)
    columns = (column_of(field, name) for name, field in described if field)
    return {c.name: (c.integers, c.scale) for c in columns if c.kind in NUMBERS}


def as_described(
    raw: RawLayer, slug: str, slices: Iterable[Slice]
) -> tuple[list[Slice], dict[str, Column]]:
    """Slices with their fields as describes spell them today, and the columns of those fields.

    Where a field and a parent's field make one column, as `Account_Region__c` and
    `Account.Region__c` do, it is of the one that was read last, and the other has none.

    Raises:
        StorageError: No describe, kept now or ever, knows one of the fields.
    """
    slices = list(slices)
    in_time = sorted(slices, key=lambda piece: (piece.read_at, piece.id))
    fields = Names((name, name) for piece in in_time for name in piece.fields)
    steps = _steps(raw, slug, fields)
    newest = Names((steps[name].column, name) for piece in in_time for name in piece.fields)
    spelling = Names((name, steps[name].path) for name in newest.values())
    columns = _columns(steps[name] for name in spelling)
    return [piece.respelt(spelling) for piece in slices], columns


def newest_columns(raw: RawLayer, refs: Sequence[SliceRef]) -> set[str] | None:
    """Columns, lower-cased, that are read now: of the newest whole slice, and of patches after it.

    Args:
        raw: The raw layer.
        refs: Slices of one object.

    Returns:
        The columns; None where nothing was ever read whole.
    """
    # A compacted slice is younger than what it holds.
    refs = [ref for ref in refs if ref.kind is not SliceKind.COMPACTED] or refs
    since = max((ref.made_at for ref in refs if not ref.kind.patches), default=None)
    if since is None:
        return None
    latest = raw.read(ref for ref in refs if ref.made_at >= since)
    return {name.lower() for piece in latest for name in piece.columns}


def _columns(steps: Iterable["ResolvedPath"]) -> dict[str, Column]:
    return {step.column: column_of(step.field, step.column) for step in steps if step.field}


def _steps(raw: RawLayer, slug: str, fields: Iterable[str]) -> "Names[ResolvedPath]":
    kept = StoredDescribes(raw)
    found = Names((path, kept.walk(slug, path)) for path in fields)
    if unknown := [path for path, step in found.items() if step.field is None]:
        raise StorageError(
            f"{slug}: no describe tells the type of {', '.join(unknown)}, and raw has values of "
            f"it; silver stays as it is. Restore {raw.describes.uri} from a backup, or let this "
            "user see the field again, and run `sf-assets refresh`"
        )
    return found


@dataclass(frozen=True, slots=True)
class ResolvedPath:
    """Where a path such as `Account.Owner.Name` leads.

    Attributes:
        path: The path as describes spell it.
        over: The objects that it leads over; several for each step that may lead to several.
        field: Its field: as it is, else as it was last. None when no describe ever knew it.
    """

    path: str
    over: tuple[str, ...]
    field: FieldInfo | None

    @property
    def column(self) -> str:
        """Name of its column."""
        return column_name(self.path)


class StoredDescribes:
    """The describes kept in raw, read as they are needed."""

    def __init__(self, raw: RawLayer) -> None:
        self._describes = raw.describes
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
            self._read[slug] = kept.info if kept else _OF_NO_ORG.get(slug)
        return self._read[slug]

    def walk(self, slug: str, path: str) -> ResolvedPath:
        """Follow a path from an object, in any case."""
        *parents, last = path.split(".")
        here, over, spelt = [slug], list[str](), list[str]()
        for parent in parents:
            links = list(self._fields(here, partial(_leads, to=parent)))
            targets = [target for link in links for target in link.reference_to]
            spelt.append(links[0].relationship or parent if links else parent)
            over += targets
            here = [*targets, *([_NAME.name] if len(targets) > 1 else [])]
        field = next(self._fields(here, partial(_is_called, name=last)), None)
        spelt.append(field.name if field else last)
        return ResolvedPath(".".join(spelt), tuple(over), field)

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


def _ask_parents(
    org: Org,
    found: Collection[Described],
    failing: Mapping[str, datetime],
    failed: dict[str, SfAssetsError],
    *,
    anew: bool,
) -> dict[str, str]:
    """Make sure that the objects which parent fields lead over are described.

    The parents of an object that fails are believed no longer than it is.

    Returns:
        Of those that cannot be, why, by lower-cased name.
    """
    paths = [(d.spec.slug, field) for d in found for field in d.query.fields if "." in field]
    asked: set[str] = set()
    refused: dict[str, str] = {}
    doubted = dict(failing)
    while paths:
        kept = StoredDescribes(org.raw)
        names: dict[str, str] = {}
        for slug, path in paths:
            with isolated(Work.DESCRIBE, slug, failed):
                over = {folded(name): name for name in kept.walk(slug, path).over}
                names |= over
                if slug in failing:
                    doubted |= dict.fromkeys(over.keys() - failing.keys(), failing[slug])
        if names.keys() <= asked:
            break
        wanted = [names[slug] for slug in sorted(names.keys() - asked)]
        answers = _ask(org, wanted, doubted, anew=anew)
        refused |= {slug: str(a) for slug, a in answers.items() if isinstance(a, SfAssetsError)}
        asked |= names.keys()
    return refused


def _settled(org: Org, item: Described, refused: Mapping[str, str]) -> Described:
    """The object with its query's fields as describes spell them; each has a column of its own.

    Raises:
        ConfigError: Two fields would be one column, or nobody can tell what one is.
    """
    if not any("." in name for name in item.query.fields):
        return item
    kept = StoredDescribes(org.raw)
    columns: Names[str] = Names()
    paths = []
    for name in item.query.fields:
        step = kept.walk(item.spec.slug, name) if "." in name else ResolvedPath(name, (), None)
        if "." in name and (step.field is None or not step.field.of_rows):
            raise ConfigError(f"{item.spec.soql}: {_undescribed(item, step, refused)}")
        if step.column in columns:
            raise ConfigError(
                f"{item.spec.soql}: {columns[step.column]} and {step.path} would both be the "
                f"column {step.column} of {item.info.name}; select one of them, the other can be "
                "joined in gold"
            )
        columns = Names([*columns.items(), (step.column, step.path)])
        paths.append(step.path)
    return replace(item, query=item.query.only(paths))


def _undescribed(item: Described, step: ResolvedPath, refused: Mapping[str, str]) -> str:
    if step.field:
        return (
            f"{step.path} is a field of type {step.field.type}, which is no column; select what it "
            "is made of"
        )
    reasons = [why for name in step.over if (why := refused.get(folded(name)))]
    objects = " or ".join(dict.fromkeys(step.over)) or item.info.name
    told = f" ({'; '.join(dict.fromkeys(reasons))})" if reasons else ""
    return (
        f"no describe of {objects} knows {step.path}{told}; correct it, take it out, or let this "
        "user see it"
    )


def _query(org: Org, spec: ObjectSpec, info: ObjectInfo) -> Query:
    if spec.soql:
        return read_soql(spec.soql, info)
    only, exclude = spec.fields, spec.exclude
    named = {"fields": only or (), "exclude": exclude}
    for setting, number, problem in misnamed(info, only=only, exclude=exclude):
        name = named[setting][number]
        if info.field(name) or not _of_another_org(org, spec, name):
            place = spec.place(setting, number)
            raise ConfigError(f"{place}: {problem}; correct it, or take it out")
    here = Names((field.name, field) for field in info.fields)
    only = None if only is None else tuple(name for name in only if name in here)
    return generate(info, only=only, exclude=[name for name in exclude if name in here])


def _of_another_org(org: Org, spec: ObjectSpec, name: str) -> bool:
    """Whether another org of the catalogue has a field that this one has not, as far as we know."""
    for other in org.catalog.orgs:
        org_id = owner_of(org.raw.store, other)
        if org_id and other != org.name:
            kept = Describes(org.raw.store, org_id).last([spec.slug])
            if spec.slug in kept and kept[spec.slug].info.field(name):
                return True
    return False


def _ask(
    org: Org, names: Collection[str], failing: Mapping[str, datetime], *, anew: bool
) -> dict[str, ObjectInfo | SfAssetsError]:
    """Describes by lower-cased name, from what is kept where that can be believed.

    By the describe that it failed with, an object would fail for as long as that is kept.
    """
    slugs = {name.lower(): name for name in names}
    kept = org.raw.describes.last(slugs)
    now = org.client.now()
    believed = {
        slug: item
        for slug, item in kept.items()
        if not anew and item.info.gone is None and _was_described(item, failing.get(slug), now)
    }
    answers: dict[str, ObjectInfo | SfAssetsError] = {
        slug: item.info for slug, item in believed.items() if _is_fresh(item, now)
    }
    there = believed.keys() - answers.keys()
    if _unchanged(org, [kept[slug] for slug in there], now):
        answers |= org.raw.describes.renew(now, believed, there)
    stale = slugs.keys() - answers.keys()
    told = {
        name.lower(): _whole(name, answer)
        for name, answer in org.client.rest.describe([slugs[slug] for slug in sorted(stale)])
    }
    failed: dict[str, SfAssetsError] = {}

    def revise(slug: str, before: ObjectInfo | None) -> ObjectInfo | None:
        with isolated(Work.DESCRIBE, slug, failed):
            return _remembered(org, told[slug], before, now)
        return None

    known = org.raw.describes.keep(now, kept, told, revise)
    for slug, answer in told.items():
        with isolated(Work.DESCRIBE, slug, failed):
            if isinstance(answer, ObjectInfo):
                answers[slug] = known.get(slug, answer)
            else:
                answers[slug] = _explained(org, slugs[slug], answer)
    return answers | failed


def _whole(name: str, answer: ObjectInfo | SalesforceError) -> ObjectInfo | SalesforceError:
    """The same answer, if it can be all of what was asked for.

    It would be kept, and what it lacks be taken for gone.
    """
    if isinstance(answer, SalesforceError):
        return answer
    if not same_name(answer.name, name):
        return SalesforceError(
            f"{name} was asked for, and the org described {answer.name}; if that is the object's "
            "name in this org, write it so in the catalogue, else run again"
        )
    if answer.queryable and not answer.field("Id"):
        return SalesforceError(
            f"the describe of {answer.name} came without the field Id, so it is not all of it; "
            "run again"
        )
    return answer


def _was_described(kept: StoredDescribe, since: datetime | None, now: datetime) -> bool:
    """Whether the org itself told it in the last day, and after its object failed if it does."""
    told = kept.told_at
    return told is not None and now - told < MAX_UNTOLD and (since is None or told > since)


def _is_fresh(kept: StoredDescribe, now: datetime) -> bool:
    """Whether it was asked for lately; what is dated ahead was asked by a wrong clock."""
    return timedelta(0) <= now - kept.asked_at < MAX_AGE


def _unchanged(org: Org, kept: Sequence[StoredDescribe], now: datetime) -> bool:
    """Whether no object of the org has changed since these describes were asked for.

    That is one call, so it is worth it only where describing takes more. Of what is dated ahead it
    is not known when it was asked for. A change shows as late as a record does, so it counts for
    as long after it.
    """
    if len(kept) <= PARTS_A_CALL or any(item.asked_at > now for item in kept):
        return False
    since = min(item.asked_at for item in kept) - org.settings.late
    return not org.client.rest.objects_changed(since)


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
