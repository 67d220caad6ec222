"""How often a tick may probe: every five minutes where the budget allows, more rarely where not.

And which objects are not to be probed by each, as the catalogue says.
"""

import math
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta, tzinfo

from sf_assets.catalog import ObjectSpec
from sf_assets.pipeline.planning.api_usage import last_usage
from sf_assets.salesforce.budget import ASK_AGAIN, Standing
from sf_assets.salesforce.rest import QUERIES_A_CALL
from sf_assets.settings import ReadingSettings
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.timetable import SHORTEST
from sf_assets.windows import Coverage

LONGEST = timedelta(hours=24)

FAIR_SHARE = 0.5
"""Part of what is left of the calls that probing may use in the next 24 hours."""


def interval(calls_a_tick: int, calls: Standing) -> timedelta:
    """Time between two ticks at which probing stays within its fair share.

    Args:
        calls_a_tick: Calls that probing all objects of the org takes.
        calls: How the org's calls stand.
    """
    ticks = calls.left * FAIR_SHARE / max(1, calls_a_tick)
    if ticks < 1:
        return LONGEST
    return min(SHORTEST * math.ceil(timedelta(hours=24) / ticks / SHORTEST), LONGEST)


def probing_calls(objects: int) -> int:
    """Calls that probing so many objects takes."""
    return -(-objects // QUERIES_A_CALL)


def probed(specs: Iterable[ObjectSpec]) -> int:
    """How many objects of a catalogue an average tick probes: those of rare times count less."""
    ticks_a_day = timedelta(days=1) / SHORTEST
    return math.ceil(sum(spec.refresh.a_day for spec in specs) / ticks_a_day)


def resting(
    raw: RawLayer,
    settings: ReadingSettings,
    specs: Iterable[ObjectSpec],
    zone: tzinfo,
    now: datetime,
) -> set[str]:
    """Objects that were read when it was last their time, by lower-cased name.

    It follows from what is covered: a time that was missed is made up for by the next tick.

    Args:
        raw: The raw layer.
        settings: ReadingSettings.
        specs: The objects; those whose time is each tick do not rest.
        zone: Time zone of their times.
        now: The present.
    """
    rare = [spec for spec in specs if spec.refresh.pause > SHORTEST]
    covered = raw.coverage() if rare else {}
    told = settings.lag + SHORTEST / 2  # as far as a tick reads that comes in time
    return {
        spec.slug
        for spec in rare
        if covered.get(spec.slug, Coverage()).watermark >= spec.refresh.last(now, zone) - told
    }


def present_interval(raw: RawLayer, settings: ReadingSettings, objects: int) -> timedelta:
    """The interval by what the org last told, which costs no call.

    Args:
        raw: The raw layer.
        settings: ReadingSettings.
        objects: How many objects of the org a tick probes, in all groups together.
    """
    told = last_usage(raw)
    if told is None:
        return SHORTEST
    calls = Standing(told.used, told.allowed, settings.api_reserve_percent)
    pace = interval(probing_calls(objects), calls)
    # What was left then is no measure for days to come: calls come back meanwhile.
    return pace if calls.left else min(pace, ASK_AGAIN)


def reason_to_wait(
    raw: RawLayer, settings: ReadingSettings, objects: int, slugs: Collection[str], now: datetime
) -> str | None:
    """Why a tick of some objects is not due yet, or None when it is.

    Args:
        raw: The raw layer.
        settings: ReadingSettings.
        objects: How many objects of the org a tick probes, in all groups together.
        slugs: The objects of this tick; the last one is known from what it covered.
        now: The present.
    """
    pace = present_interval(raw, settings, objects)
    covered = raw.coverage()
    ends = [c.windows[-1].end for slug, c in covered.items() if slug in slugs and c.windows]
    if pace == SHORTEST or not ends:
        return None
    due = max(ends) + settings.lag + pace - SHORTEST / 2
    if now >= due:
        return None
    minutes = pace // timedelta(minutes=1)
    return f"probing {objects} objects every {minutes} minutes is what the API budget carries"
