"""What the org last told of its API calls, kept in raw for runs that have not asked it yet.

So a run on a budget that is used up knows it without a call, and the schedule knows its pace.
"""

import logging

from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from sf_assets.errors import StorageError
from sf_assets.salesforce.budget import Budget
from sf_assets.storage.raw_layer import RawLayer

log = logging.getLogger(__name__)


class ApiUsage(BaseModel):
    """The org's count of its API calls.

    Attributes:
        used: In the 24 hours before.
        allowed: In 24 hours.
        at: When it said so, by its own time.
    """

    model_config = ConfigDict(frozen=True)

    used: NonNegativeInt
    allowed: NonNegativeInt
    at: AwareDatetime


def last_usage(raw: RawLayer) -> ApiUsage | None:
    """What was kept last; None where nothing is, or nothing readable."""
    try:
        return ApiUsage.model_validate_json(raw.store.get(_path(raw)))
    except FileNotFoundError:
        return None
    except ValidationError:
        log.warning("%s cannot be read; the org is asked again", raw.store.uri(_path(raw)))
        return None


def keep_usage(raw: RawLayer, budget: Budget) -> None:
    """Keep what the org has told a session, where that can be written: it is only a hint."""
    if budget.calls and budget.told_at:
        told = ApiUsage(used=budget.calls.used, allowed=budget.calls.allowed, at=budget.told_at)
        try:
            raw.store.put(_path(raw), told.model_dump_json().encode())
        except StorageError as error:
            log.info("what the org told of its calls is not kept: %s", error)


def _path(raw: RawLayer) -> str:
    return f"{raw.org_id}/budget.json"
