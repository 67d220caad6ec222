"""Several warehouses: each by its own progress, each failing alone, all alike in the end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.errors import ConfigError, OrgUnreachableError
from sf_assets.naming import placed
from sf_assets.pipeline import scheduled
from sf_assets.pipeline.events import Event, Failed, ObjectExtracted, ObjectLoaded
from sf_assets.pipeline.org import load_orgs
from sf_assets.warehouse.duckdb import database
from sf_assets_tests import postgres
from sf_assets_tests.several import OBJECTS, Several, in_the_way, two_files


@pytest.fixture
def files(tmp_path: Path, living_org: Emulator) -> Several:
    return two_files(tmp_path, living_org)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another program has the file open, and keeps it."""
    program = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            os.kill(holder.pid, signal.SIGKILL)


def extracted(events: Iterable[Event]) -> set[str]:
    return {e.extraction.slug for e in events if isinstance(e, ObjectExtracted)}


def loaded(events: Iterable[Event]) -> set[str]:
    some = [e for e in events if isinstance(e, ObjectLoaded) and e.told]
    return {placed(e.place, e.object) for e in some}


def failed(events: Iterable[Event], *, news: bool = True) -> set[str]:
    some = [e for e in events if isinstance(e, Failed) and e.news is news]
    return {placed(e.place, e.object) for e in some}


@pytest.mark.slow
def test_each_has_all_and_one_that_is_held_waits_alone(
    files: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    report = files.refresh()
    assert report.errors == {}
    files.assert_alike()
    assert {("raw", "account"), ("silver", "account"), ("reporting/silver", "account"),
            ("gold", "accounts"), ("reporting/gold", "accounts"), ("ops", "quality"),
            ("reporting/ops", "quality")} <= report.materialized.keys()  # fmt: skip
    assert len([key for key in report.materialized if key[0] == "raw"]) == len(OBJECTS)
    checks = {check["asset"] for check in report.checks}
    assert {"raw/account", "silver/account", "reporting/silver/account"} <= checks
    for place in files.places.values():
        assert place.rows("SELECT count(*) > 0 FROM ops.quality") == [(True,)]
    files.change("Said while one was held")
    with held(files.other.folder / "warehouse.duckdb"):
        report = files.refresh()
    assert report.waiting.keys() == {"reporting/account", "reporting/contact", "reporting/gold"}
    assert report.errors == {}
    assert ("raw", "account") in report.materialized
    assert files.names(files.main, "Said while one was held") == 1
    assert files.names(files.other, "Said while one was held") == 0
    events = files.tick()
    assert extracted(events) == set(), "no row is asked for again"
    assert loaded(events) == {"reporting/account", "reporting/contact"}
    files.refresh()
    files.assert_alike()


def test_one_that_cannot_be_opened_fails_alone_once_and_is_tried_by_each_tick(
    files: Several,
) -> None:
    files.refresh()
    names = {"account", "contact"}
    with in_the_way(files.main.folder / "warehouse.duckdb"):
        files.change("First")
        events = files.tick()
        assert (extracted(events), failed(events)) == (names, names)
        assert loaded(events) == {"reporting/account", "reporting/contact"}
        files.change("Second")
        events = files.tick()
        assert (failed(events), failed(events, news=False)) == (set(), names)
        assert {"gold"} == files.refresh().errors.keys()
    assert files.names(files.other, "Second") == 1
    events = files.tick()
    assert (extracted(events), failed(events), loaded(events)) == (set(), set(), names)
    files.refresh()
    files.assert_alike()


@pytest.mark.more
def test_fields_that_change_without_a_stamp_are_the_same_everywhere(files: Several) -> None:
    files.refresh()
    for key in files.main.rows("SELECT Id FROM silver.contact LIMIT 40"):
        files.emulator.org.records.update("Contact", key[0], {"LastName": "Renamed"})
    files.refresh()
    with in_the_way(files.main.folder / "warehouse.duckdb"):
        (org,) = load_orgs(files.env)
        events = list(scheduled.reread(org, everything=True))
        assert extracted(events) == {"campaignmember"}
    files.tick()
    files.refresh()
    files.assert_alike(derived=True)


def test_one_that_is_added_later_is_filled_without_the_org(files: Several) -> None:
    several = files.env["SF_ASSETS_WAREHOUSES"]
    files.env["SF_ASSETS_WAREHOUSES"] = several.partition(",")[0]
    files.refresh()
    files.env |= {"SF_ASSETS_WAREHOUSES": several, "SALESFORCE_LOGIN_URL": "http://127.0.0.1:9"}
    with pytest.raises(OrgUnreachableError):
        files.refresh()
    files.assert_alike()


@pytest.mark.more
def test_a_server_that_dies_leaves_the_file_green_and_catches_up_without_the_org(
    tmp_path: Path, living_org: Emulator
) -> None:
    if postgres.binaries() is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: postgresql)")
    with postgres.running() as server:
        addresses = {
            "main": f"duckdb:///{tmp_path}/main/warehouse.duckdb",
            "reporting": server.new(),
        }
        several = Several(tmp_path, living_org, addresses)
        assert several.refresh().errors == {}
        several.assert_alike()
        several.change("Said while it was away")
        server.kill()
        report = several.refresh()
        assert {"reporting/account", "reporting/contact", "reporting/gold"} == report.errors.keys()
        assert several.names(several.main, "Said while it was away") == 1
        server.start()
        several.env["SALESFORCE_LOGIN_URL"] = "http://127.0.0.1:9"
        with pytest.raises(OrgUnreachableError):
            several.refresh()
        several.assert_alike()


def test_an_address_that_is_of_no_engine_is_refused_before_anything_is_done(files: Several) -> None:
    where = "main=duckdb:////tmp/a.duckdb,reporting=mysql://h/x"
    with pytest.raises(ConfigError, match=r"SF_ASSETS_WAREHOUSES, reporting: .*mysql"):
        load_orgs(files.env | {"SF_ASSETS_WAREHOUSES": where})
