"""What the objects look like: asked of the org now and then, kept in raw between."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sf_assets.catalog import ObjectSpec
from sf_assets.describe import ObjectInfo
from sf_assets.errors import (
    ConfigError,
    SfAssetsError,
)
from sf_assets.failures import Work, isolated
from sf_assets.naming import Names, folded
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning import backoff
from sf_assets.pipeline.planning.backoff import FailedStep
from sf_assets.pipeline.privacy import refuse_unless_field
from sf_assets.pipeline.schema.describe_calls import ask_describes
from sf_assets.pipeline.schema.stored_describes import (
    ResolvedPath,
    StoredDescribes,
    known_to_another,
)
from sf_assets.salesforce.soql import Query, generate, misnamed, read_soql
from sf_assets.storage.manifest import column_name


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
    merges = [backoff.at(FailedStep.MERGE, place.place) for place in org.places]
    notes = [backoff.lasting_failures(org.raw, what) for what in (FailedStep.EXTRACT, *merges)]
    return {slug: note.last_chance(now) for kept in notes for slug, note in kept.items()}


def _described(
    org: Org, specs: Sequence[ObjectSpec], failing: Mapping[str, datetime], *, anew: bool
) -> dict[str, Described | SfAssetsError]:
    answers = ask_describes(org, [spec.name for spec in specs], failing, anew=anew)
    found: dict[str, Described] = {}
    failed: dict[str, SfAssetsError] = {}
    for spec in specs:
        with isolated(Work.DESCRIBE, spec.slug, failed):
            answer = answers[spec.slug]
            if isinstance(answer, SfAssetsError):
                raise answer
            found[spec.slug] = Described(spec, answer, _query(org, spec, answer))
    return {spec.slug: failed.get(spec.slug) or found[spec.slug] for spec in specs}


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
        answers = ask_describes(org, wanted, doubted, anew=anew)
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
    for path in spec.privacy:
        if "." not in path and (info.field(path) or not known_to_another(org, spec.slug, path)):
            refuse_unless_field(spec, path, info.field(path))
    if spec.soql:
        return read_soql(spec.soql, info)
    only, exclude = spec.fields, spec.exclude
    named = {"fields": only or (), "exclude": exclude}
    for setting, number, problem in misnamed(info, only=only, exclude=exclude):
        name = named[setting][number]
        if info.field(name) or not known_to_another(org, spec.slug, name):
            place = spec.place(setting, number)
            raise ConfigError(f"{place}: {problem}; correct it, or take it out")
    here = Names((field.name, field) for field in info.fields)
    only = None if only is None else tuple(name for name in only if name in here)
    return generate(info, only=only, exclude=[name for name in exclude if name in here])
