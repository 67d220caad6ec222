"""Describes asked of the org, where what is kept of them cannot be believed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sf_assets.describe import Loss, ObjectInfo
from sf_assets.errors import ObjectUnavailableError, SalesforceError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.naming import same_name
from sf_assets.pipeline.org import Org
from sf_assets.salesforce.rest import PARTS_A_CALL
from sf_assets.storage.schema_cache import StoredDescribe

MAX_AGE = timedelta(hours=1)
"""A describe older than this is asked for anew."""

MAX_UNTOLD = timedelta(days=1)
"""A describe that the org told longer ago is told anew, though the org says that none changed: what
it told may have been old already, or odd."""


def ask_describes(
    org: Org, names: Collection[str], failing: Mapping[str, datetime], *, anew: bool
) -> dict[str, ObjectInfo | SfAssetsError]:
    """Describes by lower-cased name, from what is kept where that can be believed.

    By the describe that it failed with, an object would fail for as long as that is kept.
    """
    slugs = {name.lower(): name for name in names}
    kept = org.raw.describes.last(slugs)
    now = org.client.now()
    classify = bool(org.catalog.privacy_defaults)
    believed = {
        slug: item
        for slug, item in kept.items()
        if not anew
        and item.info.gone is None
        and (item.info.classified or not classify)
        and _was_described(item, failing.get(slug), now)
    }
    answers: dict[str, ObjectInfo | SfAssetsError] = {
        slug: item.info for slug, item in believed.items() if _is_fresh(item, now)
    }
    there = believed.keys() - answers.keys()
    # That fields are classified otherwise may be no change of the object.
    if not classify and _unchanged(org, [kept[slug] for slug in there], now):
        answers |= org.raw.describes.renew(now, believed, there)
    stale = slugs.keys() - answers.keys()
    told = {
        name.lower(): _whole(name, answer)
        for name, answer in org.client.rest.describe([slugs[slug] for slug in sorted(stale)])
    }
    if classify:
        told |= _classified(org, told)
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


def _classified(
    org: Org, told: Mapping[str, ObjectInfo | SalesforceError]
) -> dict[str, ObjectInfo | SalesforceError]:
    """Describes with how their fields are classified; one of which that is not told fails.

    Else what is meant to be treated would be seen.
    """
    infos = {info.name: slug for slug, info in told.items() if isinstance(info, ObjectInfo)}
    found: dict[str, ObjectInfo | SalesforceError] = {}
    for name, answer in org.client.rest.classifications(infos):
        slug, info = infos[name], told[infos[name]]
        if isinstance(answer, SalesforceError):
            found[slug] = SalesforceError(
                f"how fields of {name} are classified is not told ({answer}); the catalogue has "
                f"privacy_defaults; let {org.user} see FieldDefinition (View Setup and "
                "Configuration), or write `privacy` for each object and take them out",
                status=answer.status,
                code=answer.code,
            )
        elif isinstance(info, ObjectInfo):
            found[slug] = info.classified_by(answer)
    return found


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
