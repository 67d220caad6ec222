"""Gold tables, built from silver and, where they ask for it, from all versions that raw holds."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime

from sf_assets.errors import HeldError, LeftOutError, SfAssetsError, WarehouseLockedError
from sf_assets.failures import Work, attributed
from sf_assets.naming import folded
from sf_assets.pipeline.gold.due import next_build, refuse_held
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.privacy import Policies
from sf_assets.pipeline.schema.stored_describes import as_described
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.warehouse.gold_sql import GoldTable
from sf_assets.warehouse.port import Built, Session, Versions


def build_gold(org: Org, raw: RawLayer, table: GoldTable, days: Sequence[date] = ()) -> Built:
    """Build one gold table anew, or some of its days; the old one is there until the new one is.

    What it was built by is noted in the same transaction, in `ops.gold_builds`; if it fails, why
    is noted in `ops.gold_attempts`.

    Raises:
        HeldError: A blocking check of what it reads did not pass, or was not asked.
        LeftOutError: A packaged table reads what this org, or its user, does not have.
        ConfigError: It reads an object that is not in silver, or a column that is not there.
        WarehouseError: The warehouse is locked or refuses the query.
    """
    try:
        with attributed(Work.BUILD, table.name), org.writing(raw.org_id) as session:
            return _build(session, org, raw, table, days)
    except (HeldError, LeftOutError, WarehouseLockedError):
        raise
    except SfAssetsError as error:
        with suppress(SfAssetsError), org.writing(raw.org_id) as session:
            session.gold.note_attempt(table.name, table.sql_hash, datetime.now(UTC), str(error))
        raise


def _build(
    session: Session, org: Org, raw: RawLayer, table: GoldTable, days: Sequence[date]
) -> Built:
    if held := refuse_held(session, org, table):
        raise HeldError(held)
    note = next_build(session, org, table, days)
    policies = Policies(org, raw)
    versions = [_versions(raw, slug, table, policies) for slug in sorted(table.raw)]
    return session.gold.build(table, note, days, versions)


def _versions(raw: RawLayer, slug: str, table: GoldTable, policies: Policies) -> Versions:
    """All versions of an object that raw holds, treated as silver's, as far as one reads them."""
    pieces = [piece for piece in raw.slices(slug) if not piece.kind.patches]
    view = policies.silver(slug, *as_described(raw, slug, pieces))
    columns = view.columns
    if (used := table.columns_used()) is not None:
        wanted = {"id"} | used | {folded(piece.cursor or "") for piece in view.slices}
        columns = {name: column for name, column in columns.items() if folded(name) in wanted}
    return Versions(slug, view.slices, columns, view.read)
