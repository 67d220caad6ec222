"""(c) A refresh over many objects, with a year of ticks behind it.

`python -m bench.tick first` extracts all objects into an empty raw, `age SLICES PROOFS` adds what
a year leaves behind, `tick` does what `sf-assets refresh` does.
"""

import shutil
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from bench.load import settings
from bench.measure import Result, Stopwatch, child, median, peak_mb, say
from bench.org import emulator

RECENT_SLICES = 48
"""Of each object: two dozen that are not yet compacted, and two hours of ticks."""

RECENT_PROOFS = 32
"""Coverage manifests that are not yet made one."""

_ROOT = Path(__file__).parents[1]
_PASSES = timedelta(minutes=5)


def measure(folder: Path, objects: int, changed: int, repeats: int) -> Result:
    """Tick with nothing changed, and with some objects changed, several times."""
    shutil.rmtree(folder, ignore_errors=True)
    names = [f"Custom_Object_{n:03d}__c" for n in range(1, objects + 1)]
    options = ["--custom-objects", str(objects), "--job-seconds", "0"]
    with emulator(*options, "--scale", "0.2", "--daily-api-requests", "1000000") as org:
        env = dict(org.env) | settings(folder, names)
        env |= {"SF_ASSETS_LAG_SECONDS": "0", "DAGSTER_HOME": str(folder / "dagster")}
        (folder / "dagster").mkdir()
        shutil.copy(_ROOT / "dagster.yaml", folder / "dagster")
        child("bench.tick", "first", env=env)
        aged = child("bench.tick", "age", str(RECENT_SLICES), str(RECENT_PROOFS), env=env)
        idle, busy = [], []
        for number in range(repeats):
            idle.append(_counted(env))
            first = number * changed % objects
            _change(env, names[first : first + changed])
            busy.append(_counted(env))
    assert not any(tick["events"] for tick in idle)
    assert all(tick["events"] == 2 * changed for tick in busy)
    idle_calls, busy_calls = median(idle, "calls"), median(busy, "calls")
    return {
        "objects": objects,
        "changed": changed,
        "manifests": aged["manifests"],
        "seconds": median(busy, "wall"),
        "idle_seconds": median(idle, "wall"),
        "peak_mb": max(tick["peak_mb"] for tick in busy),
        "calls_per_idle_object": idle_calls / objects,
        "more_calls_per_changed_object": (busy_calls - idle_calls) / changed,
        "events_of_idle_objects": sum(tick["events"] - 2 * changed for tick in busy),
    }


def _counted(env: Mapping[str, str]) -> Result:
    """One tick, with the API calls that the org counted."""
    before = _calls(env)
    result = child("bench.tick", "tick", env=env)
    return result | {"calls": _calls(env) - before - 1}  # the second look is a call, too


def _calls(env: Mapping[str, str]) -> int:
    from sf_assets.salesforce.client import connect
    from sf_assets.settings import load_credentials

    left = connect(load_credentials(env)).rest.limits()["DailyApiRequests"]
    return int(left["Max"]) - int(left["Remaining"])


def _change(env: Mapping[str, str], names: list[str]) -> None:
    """Change a record of each object, and let the second pass that the window will end in."""
    from sf_assets.salesforce.client import connect
    from sf_assets.settings import load_credentials

    client = connect(load_credentials(env))
    root = f"{client.session.token.instance_url}/services/data/v{client.version}/sobjects"
    for name in names:
        (page,) = client.rest.pages(f"SELECT Id FROM {name} WHERE IsDeleted = false LIMIT 1")
        url = f"{root}/{name}/{page['records'][0]['Id']}"
        client.session.patch(url, json={"Name": f"changed {time.time()}"})
    time.sleep(2)


def first() -> None:
    """Extract all objects, and merge them into silver."""
    from sf_assets.pipeline.extraction.execute import execute
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.planning.plan import plan_tick

    (org,) = load_orgs()
    done = list(execute(org, plan_tick(org, org.catalog.select([]))))
    assert not [extracted.error for extracted in done if extracted.error]
    for extracted in done:
        load(org, org.raw, extracted.slug)
    say(objects=len(done))


def age(slices: int, proofs: int) -> None:
    """Put behind every object the small slices, merged, and the proofs that ticks leave."""
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.storage.manifest import Counts, Slice, new_slice_id
    from sf_assets.windows import Window

    (org,) = load_orgs()
    now = org.client.now()

    def later(piece: Slice, number: int) -> Slice:
        end = now - number * _PASSES
        news = {"start": end - _PASSES, "end": end, "read_at": end, "id": new_slice_id(end)}
        none = {"counts": Counts(), "parts": (), "min_cursor": None, "max_cursor": None}
        return piece.model_copy(update=news | none)

    refs = org.raw.refs()
    with org.writing(org.raw.org_id) as session:
        for slug, mine in refs.items():
            (piece,) = org.raw.read(mine)
            added = [later(piece, number) for number in range(1, slices + 1)]
            for new in added:
                org.raw.commit(new)
            session.slices.note_replacements(slug, added)
    for number in range(1, proofs + 1):
        moment: datetime = now - number * _PASSES
        covered = [Window(moment - _PASSES, moment)]
        org.raw.coverage_log.add(dict.fromkeys(refs, covered), {}, moment)
    say(manifests=len(refs) * (slices + 1) + proofs)


def tick() -> None:
    """What the command line does, event by event."""
    from sf_assets.pipeline.events import Failed, ObjectExtracted, ObjectLoaded
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.refresh import refresh

    (org,) = load_orgs()
    watch = Stopwatch()
    found = list(refresh(org))
    assert not any(isinstance(event, Failed) for event in found), found
    made = [event for event in found if isinstance(event, ObjectExtracted | ObjectLoaded)]
    say(seconds=watch.seconds, events=len(made), peak_mb=peak_mb())


if __name__ == "__main__":
    if sys.argv[1] == "age":
        age(int(sys.argv[2]), int(sys.argv[3]))
    else:
        {"first": first, "tick": tick}[sys.argv[1]]()
