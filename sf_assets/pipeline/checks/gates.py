"""Blocking checks, on whose answers gold waits: gates, open or closed by what was answered last."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sf_assets.catalog import Catalog
from sf_assets.checks.check import Latest
from sf_assets.checks.expectation import Expectation
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.stored_describes import StoredDescribes
from sf_assets.warehouse.port import Session


@dataclass(frozen=True, slots=True)
class ClosedGate:
    """A blocking check that did not pass, or was not asked of what silver holds now.

    Attributes:
        slug: Lower-cased object name.
        check: The check.
        answer: The latest answer; None where it was not asked of what silver holds now.
        merge: The newest merge of what it is asked of; empty where nothing was ever merged.
        next_try: When it may be asked by itself, where that came to nothing; None if it may now.
    """

    slug: str
    check: str
    answer: Latest | None
    merge: str
    next_try: datetime | None

    @property
    def name(self) -> str:
        """Its name among what is tried: `<object>.<check>`."""
        return f"{self.slug}.{self.check}"

    def __str__(self) -> str:
        """Which check of which object, since when, and why."""
        if not self.answer:
            return f"{self.slug}: {self.check} was not asked since the object was loaded"
        since = f", since {self.answer.since:%Y-%m-%d %H:%M} UTC" if self.answer.since else ""
        why = f", {self.answer.offenders} offenders" if self.answer.offenders is not None else ""
        why = f", {self.answer.reason}" if self.answer.reason else why
        return f"{self.slug}: {self.check} did not pass{since}{why}"


def gates(catalog: Catalog) -> dict[tuple[str, str], Expectation]:
    """The blocking checks of a catalogue, by lower-cased object and name."""
    return {
        (spec.slug, check.name): check
        for spec in catalog.objects.values()
        for check in spec.expectations
        if check.blocking
    }


def closed_gates(
    session: Session, org: Org, slugs: Collection[str] | None = None
) -> list[ClosedGate]:
    """Gates that keep gold from being built.

    An answer counts if it is to what the check asks now, and not older than the newest merge: of
    any object, where records of others decide whether a reference leads anywhere.

    Args:
        session: The warehouse, open.
        org: The org.
        slugs: Of which objects; None for all.
    """
    catalog = org.catalog
    wanted = {gate: c for gate, c in gates(catalog).items() if slugs is None or gate[0] in slugs}
    if not wanted:
        return []
    describes = StoredDescribes(org.stored_raw)
    every = session.gold.merged_at([spec.slug for spec in catalog.objects.values()])
    newest = session.gold.newest()
    answers, before = session.checks.latest(wanted), session.gold.attempts()
    closed = []
    for (slug, name), check in sorted(wanted.items()):
        answer = answers.get((slug, name))
        moments = every.values() if check.of_others else [every[slug]] if slug in every else []
        if answer and (
            answer.definition != check.definition(partial(describes.info, slug))
            or any(moment > answer.checked_at for moment in moments)
        ):
            answer = None
        if not answer or not answer.passed:
            merge = newest.get(f"silver.{slug}", "")
            tried = before.get(f"{slug}.{name}")
            next_try = tried.next_try if tried and tried.of == merge else None
            closed.append(ClosedGate(slug, name, answer, merge, next_try))
    return closed


def spelt(closed: Iterable[ClosedGate]) -> str:
    """Why a gold table is held by these gates, and what to do."""
    closed = list(closed)
    told = "; ".join(map(str, closed))
    if all(gate.answer is None for gate in closed):
        return f"held by blocking checks: {told}; execute these checks"
    return f"held by blocking checks: {told}; ops.to_fix says what to do"
