"""Is everything there that a run needs? Each question is asked for itself and says what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sf_assets.catalog import Catalog
from sf_assets.errors import SfAssetsError
from sf_assets.failures import Work, alone
from sf_assets.pipeline.describes import Described, describe_objects
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.status import budget
from sf_assets.windows import Grain

_PROBE = "doctor.txt"


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


def examine(org: Org) -> Iterator[Diagnosis]:
    """Test the connections and permissions of one org. Nothing that fails stops the rest."""
    login = _ask("login", lambda: _login(org))
    yield login
    if login.ok:
        yield _ask("API budget", lambda: _budget(org))
    yield _ask("storage", lambda: _storage(org, connected=login.ok))
    yield _ask("warehouse", lambda: _warehouse(org, connected=login.ok))
    if login.ok:
        yield from _objects(org, org.catalog)


def _ask(what: str, question: Callable[[], str]) -> Diagnosis:
    failed: dict[str, SfAssetsError] = {}
    with alone(Work.EXAMINE, what, failed):
        return Diagnosis(what, ok=True, detail=question())
    return Diagnosis(what, ok=False, detail=str(failed[what]))


def _login(org: Org) -> str:
    client = org.client
    user = client.rest.user()
    name = user.get("preferred_username", "unknown")
    return f"org {client.org_id} as {name}, API {client.version}"


def _budget(org: Org) -> str:
    left = budget(org)
    if isinstance(left, SfAssetsError):
        raise left
    return ", ".join(
        f"{name} {s.used:,} of {s.allowed:,} used, {s.left:,} left besides the reserve"
        for name, s in left.items()
    )


def _storage(org: Org, *, connected: bool) -> str:
    lake = org.lake if connected else org.kept_lake
    lake.store.put(_PROBE, b"written by sf-assets doctor")
    lake.store.get(_PROBE)
    lake.store.delete([_PROBE])
    return f"{lake.store.url} can be written, read and deleted from"


def _warehouse(org: Org, *, connected: bool) -> str:
    if connected:
        with org.writing(org.client.org_id):
            pass
    else:
        with org.warehouse.connect():
            pass
    return f"{org.warehouse.path} can be written"


def _objects(org: Org, catalog: Catalog) -> Iterator[Diagnosis]:
    try:
        found = describe_objects(org, catalog.objects.values(), anew=True)
    except SfAssetsError as error:
        yield Diagnosis("objects", ok=False, detail=str(error))
        return
    for spec in catalog.objects.values():
        failed: dict[str, SfAssetsError] = {}
        with alone(Work.EXAMINE, spec.slug, failed):
            yield _object(found[spec.slug])
        if spec.slug in failed:
            yield Diagnosis(spec.name, ok=False, detail=str(failed[spec.slug]))


def _object(item: Described | SfAssetsError) -> Diagnosis:
    if isinstance(item, SfAssetsError):
        raise item
    fields = f"{len(item.query.fields)} fields"
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
