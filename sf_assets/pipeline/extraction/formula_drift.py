"""Fields that change without moving a stamp: how many rows are out of date, and reading them again.

Formulas, roll-ups and parents' fields are worked out by the org whenever it is asked, so no window
of the cursor brings what became of them. A sample of rows tells whether anything did.
"""

import logging
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from urllib.parse import quote

import polars as pl

from sf_assets.catalog import ObjectSpec
from sf_assets.checks.check import Facts, Finding
from sf_assets.comparison.silver_copy import SilverCopy
from sf_assets.errors import SfAssetsError, StorageError
from sf_assets.failures import Failures, Work, isolated
from sf_assets.pipeline.extraction.extract import ExtractTask
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.plan import Plan
from sf_assets.pipeline.privacy import Policies, treated_columns
from sf_assets.pipeline.schema.described import Described, describe_objects
from sf_assets.salesforce.rest import SOQL_BYTES
from sf_assets.salesforce.rest_arrow import to_batch
from sf_assets.storage.manifest import SliceKind, SliceRef
from sf_assets.windows import BEGIN, Window

log = logging.getLogger(__name__)

SAMPLE = 200
"""Rows of each object that are asked for."""

WHOLE_EVERY = 7
"""Days after which all rows are read again, whatever the sample says: it misses what is rare."""

_PATIENCE = 600.0
_ID_BYTES = len(quote("'001000000000000AAA', "))


@dataclass(frozen=True, slots=True)
class Drift:
    """What a sample of an object's rows shows.

    Attributes:
        rows: Rows compared: those that the org has under the cursor that silver has.
        drifted: How many of them differ, by column; 0 where none does.
    """

    rows: int
    drifted: Mapping[str, int]

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return any(self.drifted.values())


@contextmanager
def plan_derived(org: Org, specs: Iterable[ObjectSpec], *, everything: bool) -> Iterator[Plan]:
    """Plan to read the derived fields of all rows again, and to keep what differs from silver.

    What silver says is copied to files for as long as the block runs. Of several warehouses the
    first that can be read is asked: what is read again says of which slices that speaks, and each
    warehouse merges it by these.

    Args:
        org: The org.
        specs: Which objects; those that have no such field, or are read whole anyway, are left out.
        everything: Do so for all of them. Else only for those whose sample has drifted, and for
            each one once in `WHOLE_EVERY` days.

    Raises:
        SfAssetsError: The org, the storage or the warehouse cannot be reached at all.
    """
    with _folder() as folder:
        yield _plan(org.readable(), specs, Path(folder), everything=everything)


def check_derived(org: Org, specs: Iterable[ObjectSpec]) -> Iterator[Finding]:
    """Ask the org for a sample of each object's rows, and say which fields are out of date.

    Raises:
        SfAssetsError: The org, the storage or the warehouse cannot be reached at all.
    """
    items, answers = _derived(org, specs)
    answers |= dict(measure(org, items.values()))
    for slug, answer in answers.items():
        if answer is None:
            none: Facts = {"fields": 0}
            yield Finding(slug, "derived", passed=True, severe=False, facts=none)
        elif isinstance(answer, SfAssetsError):
            facts: Facts = {"reason": str(answer)}
            yield Finding(
                slug, "derived", passed=False, severe=False, facts=facts, reason=str(answer)
            )
        else:
            facts = _facts(answer)
            yield Finding(slug, "derived", passed=not answer.any, severe=False, facts=facts)


def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for as long as it is needed.

    Raises:
        StorageError: There is no room for one.
    """
    try:
        return tempfile.TemporaryDirectory(prefix="sf-assets-")
    except OSError as error:
        raise StorageError(
            f"a folder for temporary files cannot be made ({error.strerror}); make room in "
            f"{tempfile.gettempdir()}, or set TMPDIR to a folder with more"
        ) from None


def _facts(drift: Drift) -> Facts:
    facts: Facts = {"fields": len(drift.drifted), "rows compared": drift.rows}
    for name, count in drift.drifted.items():
        if count:
            facts |= {f"{name}, rows": count, f"{name}, share": round(count / drift.rows, 4)}
    return facts


def measure(org: Org, items: Iterable[Described]) -> Iterator[tuple[str, Drift | SfAssetsError]]:
    """Hold samples of silver's live rows against the org; five objects to a call.

    Yields:
        Lower-cased name of each object, and what its sample shows.
    """
    with _folder() as folder:
        failed: dict[str, SfAssetsError] = {}
        copies = _copy_silver(org, items, Path(folder), failed, SAMPLE)
        questions: dict[str, str] = {}
        for slug, (item, copy) in copies.items():
            with isolated(Work.SAMPLE, slug, failed):
                for n, ids in enumerate(_portions(item, copy.ids())):
                    questions[f"{slug} {n}"] = item.query.of_records(ids)
        told: dict[str, list[pl.DataFrame]] = defaultdict(list)
        for key, answer in org.client.rest.query_each(questions):
            slug = key.partition(" ")[0]
            item, _ = copies[slug]
            with isolated(Work.SAMPLE, slug, failed):
                if answer.error:
                    raise answer.error
                records = answer.body["records"]
                batch = to_batch(records, item.query.fields, item.columns, item.stamps)
                told[slug].append(pl.DataFrame(batch))
        for slug, (_, copy) in copies.items():
            with isolated(Work.SAMPLE, slug, failed):
                if slug in failed:
                    continue
                if told[slug]:
                    yield slug, Drift(*copy.drift(pl.concat(told[slug])))
                else:
                    yield slug, Drift(0, dict.fromkeys(copy.compared, 0))
        yield from failed.items()


def _portions(item: Described, ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids in portions that a query has room for."""
    room = SOQL_BYTES - len(quote(item.query.of_records(())))
    size = max(1, room // _ID_BYTES)
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _plan(org: Org, specs: Iterable[ObjectSpec], folder: Path, *, everything: bool) -> Plan:
    items, answers = _derived(org, specs)
    plan = Plan(org.client.now() - org.settings.lag, patience=_PATIENCE)
    plan.failed = {s: error for s, error in answers.items() if isinstance(error, SfAssetsError)}
    if not everything:
        for slug, drift in measure(org, list(items.values())):
            if isinstance(drift, SfAssetsError):
                plan.failed[slug] = drift
            elif not drift.any and not _due(slug, plan.end):
                del items[slug]
        items = {slug: item for slug, item in items.items() if slug not in plan.failed}
    plan.described = items
    held = _taken_up(org, items)
    for slug, (item, copy) in _copy_silver(org, items.values(), folder, plan.failed).items():
        log.info("%s: %d derived fields are read again", item.info.name, len(copy.compared))
        window = Window(BEGIN, plan.end)
        unlike, kind = copy.unlike, SliceKind.FIELDS
        order = ExtractTask(item, window, copy.rows, unlike, held=held[slug], kind=kind)
        plan.orders[slug] = [order]
    return plan


def _taken_up(org: Org, slugs: Iterable[str]) -> dict[str, frozenset[SliceRef]]:
    """The slices of objects that silver has taken up, so that what it says speaks of them."""
    if not org.warehouse.exists():
        return {}
    refs, found = org.raw.refs(), {}
    with org.reading(org.raw.org_id) as session:
        for slug in slugs:
            mine = {ref.id: ref for ref in refs.get(slug, ())}
            merged = session.slices.merged(slug, mine)
            found[slug] = frozenset(mine[slice_id] for slice_id in merged)
    return found


def _due(slug: str, now: datetime) -> bool:
    """Whether an object's turn is today: each has its own day, so that not all are read at once."""
    return (date.toordinal(now) + zlib.crc32(slug.encode())) % WHOLE_EVERY == 0


def _derived(
    org: Org, specs: Iterable[ObjectSpec]
) -> tuple[dict[str, Described], dict[str, Drift | SfAssetsError | None]]:
    """Objects with derived fields; and of the others, why they are not among them."""
    items: dict[str, Described] = {}
    others: dict[str, Drift | SfAssetsError | None] = {}
    policies = Policies(org, org.raw)
    failed: dict[str, SfAssetsError] = {}
    for slug, item in describe_objects(org, specs).items():
        with isolated(Work.SAMPLE, slug, failed):
            if isinstance(item, SfAssetsError):
                others[slug] = item
            elif item.cursor is None or not _in_silver(policies, item):
                others[slug] = None
            else:
                items[slug] = item
    return items, others | failed


def _in_silver(policies: Policies, item: Described) -> list[str]:
    """The derived fields of an object of which silver has a column."""
    slug = item.spec.slug
    return [path for path in item.derived if policies.of(slug, path).leaves_column]


def _copy_silver(
    org: Org,
    items: Iterable[Described],
    folder: Path,
    failures: Failures,
    sample: int | None = None,
) -> dict[str, tuple[Described, SilverCopy]]:
    """Copies of what silver has, for objects of which it has a table.

    Args:
        org: The org.
        items: The objects.
        folder: Where the copies go.
        failures: Gets those of which there can be none.
        sample: So many rows at most; None for all.

    Returns:
        By lower-cased name: the object, its query cut down to the derived fields, and the copy.
    """
    if not org.warehouse.exists():
        return {}
    found, policies = {}, Policies(org, org.raw)
    with org.reading(org.raw.org_id) as session:
        silver = session.silver
        for item in items:
            slug = item.spec.slug
            with isolated(Work.SAMPLE, slug, failures), session.explained():
                if slug not in silver:
                    continue
                query = item.query.only(("Id", item.cursor or "", *_in_silver(policies, item)))
                columns, treated = treated_columns(org, org.raw, slug, query.fields)
                path, cursor = folder / f"{slug}.parquet", item.cursor or ""
                copy = silver.copy_columns(slug, columns, cursor, path, sample=sample)
                found[slug] = replace(item, query=query), replace(copy, treated=treated)
    return found
