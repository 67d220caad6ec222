"""(d) The definitions of many objects, against a plain Dagster project of as many assets.

`python -m bench.load ours` and `plain ASSETS CHECKS` load what a code server loads, up to the
snapshot that it hands to the UI.
"""

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from bench.measure import Result, Stopwatch, child, interleaved, median, median_ratio, say

START = date(2024, 1, 1)


def measure(folder: Path, objects: int, pairs: int) -> Result:
    """Load both in turn, in fresh processes."""
    env = settings(folder, [f"Custom_Object_{n:03d}__c" for n in range(1, objects + 1)])
    size = child("bench.load", "ours", env=env)
    plain, ours = interleaved(
        lambda: child("bench.load", "plain", str(size["assets"]), str(size["checks"])),
        lambda: child("bench.load", "ours", env=env),
        pairs=pairs,
    )
    return {
        "objects": objects,
        "assets": size["assets"],
        "checks": size["checks"],
        "seconds": median(ours, "seconds"),
        "plain_seconds": median(plain, "seconds"),
        "ratio": median_ratio(ours, plain, "seconds"),
        "wall_ratio": median_ratio(ours, plain, "wall"),
    }


def settings(folder: Path, objects: list[str]) -> dict[str, str]:
    """The environment of a catalogue of many objects, which it writes; without gold tables."""
    (folder / "gold").mkdir(parents=True, exist_ok=True)
    listed = "".join(f"  {name}: {{}}\n" for name in objects)
    catalog = folder / "catalog.yaml"
    catalog.write_text(f"start: {START}\ngold: gold\nobjects:\n{listed}", encoding="utf-8")
    return {
        "SF_ASSETS_CATALOG": str(catalog),
        "SF_ASSETS_STORAGE_URL": f"file://{folder}/raw",
        "SF_ASSETS_WAREHOUSE_URL": f"duckdb:///{folder}/warehouse.duckdb",
    }


def ours() -> Any:
    """The definitions of the catalogue."""
    from sf_assets.definitions import defs

    return defs()


def plain(assets: int, checks: int) -> Any:
    """As many assets and checks with trivial bodies; every other asset reads the one before."""
    import dagster as dg

    days = dg.DailyPartitionsDefinition(f"{START}", end_offset=1)

    def asset(number: int) -> dg.AssetsDefinition:
        key, source = dg.AssetKey(f"asset_{number}"), dg.AssetKey(f"asset_{number - 1}")
        mine = range(number * checks // assets, (number + 1) * checks // assets)

        @dg.asset(
            key=key,
            deps=[source] if number % 2 else [],
            check_specs=[dg.AssetCheckSpec(f"check_{n}", asset=key) for n in mine],
            partitions_def=None if number % 2 else days,
        )
        def body() -> Iterator[Any]:
            yield dg.MaterializeResult()

        return body

    return dg.Definitions(assets=[asset(number) for number in range(assets)])


def main(what: str, *counts: str) -> None:
    """Load one of the two."""
    watch = Stopwatch()
    from dagster._core.remote_representation.external_data import RepositorySnap

    found = ours() if what == "ours" else plain(*map(int, counts))
    repository = found.get_repository_def()
    RepositorySnap.from_def(repository)
    graph = repository.asset_graph
    say(
        seconds=watch.seconds,
        assets=len(graph.get_all_asset_keys()),
        checks=len(graph.asset_check_keys),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
