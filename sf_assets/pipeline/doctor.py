"""Is everything there that a run needs? Each question is asked for itself and says what to do."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sf_assets.catalog import Catalog
from sf_assets.errors import SalesforceError, SfAssetsError, StorageError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.privacy import Policies
from sf_assets.pipeline.schema.described import Described, describe_objects
from sf_assets.pipeline.schema.queryable import is_passing, refusals
from sf_assets.pipeline.status import budget
from sf_assets.privacy import Treatment
from sf_assets.storage.permissions import missing_permissions, try_permissions
from sf_assets.windows import Grain


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer to one question.

    Attributes:
        what: What was looked at.
        ok: Whether it will do.
        detail: What was found; where it will not do, what to do about it.
    """

    what: str
    ok: bool
    detail: str


def examine(org: Org, *, objects: bool = True) -> Iterator[Diagnosis]:
    """Test the connections and permissions of one org. Nothing that fails stops the rest.

    Args:
        org: The org.
        objects: Whether to look at the objects of its catalogue as well.
    """
    login = _ask("login", lambda: _login(org))
    yield login
    if login.ok:
        yield _ask("API budget", lambda: _budget(org))
    yield _ask("storage", lambda: _storage(org, connected=login.ok))
    for place in org.places:
        what = f"warehouse {place.warehouse_name}" if org.places[1:] else "warehouse"
        yield _ask(what, partial(_warehouse, place, connected=login.ok))
    if objects:
        for path in org.catalog.unread:
            detail = (
                f"{path}: no object of {org.catalog.path} names it as its `soql`; do, or move it"
            )
            yield Diagnosis("files", ok=False, detail=detail)
    if login.ok and objects:
        yield from _objects(org, org.catalog)


def _ask(what: str, question: Callable[[], str]) -> Diagnosis:
    failed: dict[str, SfAssetsError] = {}
    with isolated(Work.EXAMINE, what, failed):
        return Diagnosis(what, ok=True, detail=question())
    return Diagnosis(what, ok=False, detail=str(failed[what]))


def _login(org: Org) -> str:
    client = org.client
    return f"org {client.org_id} as {org.user}, API {client.version}"


def _budget(org: Org) -> str:
    left = budget(org)
    if isinstance(left, SfAssetsError):
        raise left
    return ", ".join(
        f"{name} {s.used:,} of {s.allowed:,} used, {s.left:,} left besides the reserve"
        for name, s in left.items()
    )


def _storage(org: Org, *, connected: bool) -> str:
    store = org.storage
    if connected:
        with suppress(StorageError):  # what is another org's is refused before anything is written
            _ = org.raw
    found = try_permissions(store)
    if any(found.values()):
        raise StorageError(missing_permissions(store, found))
    if connected:
        _ = org.raw
    return f"{store.url}: {', '.join(found)} work"


def _warehouse(org: Org, *, connected: bool) -> str:
    org.warehouse.check_writing()
    if connected:
        with org.writing(org.client.org_id):
            pass
    return f"{org.warehouse} can be written"


def _objects(org: Org, catalog: Catalog) -> Iterator[Diagnosis]:
    try:
        found = describe_objects(org, catalog.objects.values(), anew=True)
    except SfAssetsError as error:
        yield Diagnosis("objects", ok=False, detail=str(error))
        return
    refused = _refused(org, found)
    for spec in catalog.objects.values():
        failed: dict[str, SfAssetsError] = {}
        with isolated(Work.EXAMINE, spec.slug, failed):
            yield _object(org, refused.get(spec.slug) or found[spec.slug])
        if spec.slug in failed:
            yield Diagnosis(spec.name, ok=False, detail=str(failed[spec.slug]))


def _refused(
    org: Org, found: Mapping[str, Described | SfAssetsError]
) -> Mapping[str, SfAssetsError]:
    """Objects that the describe lets be queried, and the org does not, with what it says."""
    described = {slug: item for slug, item in found.items() if isinstance(item, Described)}
    asked = {slug: (i.info, i.query) for slug, i in described.items() if i.info.queryable}
    try:
        said = refusals(org.client.rest, asked)
    except SfAssetsError as error:  # it would meet them all
        return dict.fromkeys(asked, error)
    return {
        slug: error if is_passing(error) else _told(described[slug].info.name, error)
        for slug, error in said.items()
    }


def _told(name: str, error: SalesforceError) -> SalesforceError:
    return SalesforceError(
        f"the org lists it and refuses to have it read, so a refresh cannot read it: {error}; take "
        f"{name} out of the catalogue, or give it a .soql file with the filter that it wants",
        status=error.status,
        code=error.code,
    )


def _treated(org: Org, item: Described) -> str:
    """What is done to fields on their way to silver.

    Raises:
        ConfigError: It cannot be done.
    """
    policies = Policies(org, org.raw)
    notes = {path: policies.note(item.spec.slug, path) for path in item.query.fields}
    done = [f"{p} {how.partition(' ')[0]}" for p, how in notes.items() if how != Treatment.KEEP]
    return f" ({', '.join(done)})" if done else ""


def _object(org: Org, item: Described | SfAssetsError) -> Diagnosis:
    if isinstance(item, SfAssetsError):
        raise item
    fields = f"{len(item.query.fields)} fields{_treated(org, item)}"
    if not item.info.queryable:
        detail = "the org does not let it be queried; remove it from the catalogue"
        return Diagnosis(item.info.name, ok=False, detail=detail)
    if item.cursor is None and item.spec.grain is not Grain.NONE:
        detail = f"{fields}, no cursor: read whole; write `grain: none` for it into the catalogue"
    elif item.cursor is None:
        detail = f"{fields}, no cursor: read whole"
    else:
        detail = f"{fields}, cursor {item.cursor}"
    return Diagnosis(item.info.name, ok=True, detail=detail)
