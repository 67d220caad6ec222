"""Which days of a daily gold table are built: what is committed says it, however late it came."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.errors import ConfigError
from sf_assets.pipeline.gold import build as gold_build
from sf_assets.pipeline.gold import due as gold_due_module
from sf_assets.pipeline.gold.build import build_gold
from sf_assets.pipeline.gold.due import GoldState, GoldStatus, gold_due
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets_tests.conftest import Workspace

TODAY = datetime.now(UTC).date()
START = TODAY - timedelta(days=20)
DAILY = "SELECT $day::DATE AS day, count(*) AS n FROM {} WHERE CreatedDate::DATE <= $day"


class Gold:
    """The gold tables of a workspace, looked at and built on days that are still to come."""

    def __init__(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        self._workspace = workspace
        self._monkeypatch = monkeypatch
        self._now = datetime.now(UTC)
        (workspace.folder / "gold").mkdir()

    def write(self, name: str, sql: str) -> None:
        (self._workspace.folder / "gold" / f"{name}.sql").write_text(sql, encoding="utf-8")

    def go_on(self, days: int, seconds: int = 0) -> None:
        """Our clock goes on; the org's does not."""
        moment = self._now = self._now + timedelta(days, seconds)

        class Later(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                assert tz is UTC
                return moment

        for module in (gold_build, gold_due_module):
            self._monkeypatch.setattr(module, "datetime", Later)

    def look(self, name: str = "daily") -> GoldStatus:
        org = self._workspace.org()
        found = gold_due(org, gold_tables(org.catalog), self._now)
        return next(status for status in found if status.name == name)

    def build(self, name: str = "daily") -> GoldStatus:
        """Build a table as it is due; how it stood before."""
        self.go_on(0, seconds=1)
        org, status = self._workspace.org(), self.look(name)
        (table,) = (t for t in gold_tables(org.catalog) if t.name == name)
        build_gold(org, org.stored_raw, table, status.days)
        assert self.look(name).state is GoldState.BUILT
        return status

    def run(self, sql: str) -> None:
        """What other hands do to the warehouse."""
        self._workspace.change(sql)

    def counts(self, table: str = "daily") -> dict[date, int]:
        return dict(self._workspace.rows(f"SELECT day, n FROM gold.{table}"))


@pytest.fixture
def gold(own_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Gold:
    own_workspace.catalogue({"Account": None}, start=f"{START}", gold="gold")
    return Gold(own_workspace, monkeypatch)


@pytest.fixture
def new(own_workspace: Workspace, living_org: Emulator) -> Callable[[], None]:
    """Makes a record, with the stamp of today, and takes it up."""

    def make() -> None:
        living_org.org.records.insert("Account", {"Name": "late"})
        living_org.advance(60)
        own_workspace.tick()

    return make


def days(first: date, last: date) -> tuple[date, ...]:
    return tuple(first + timedelta(n) for n in range((last - first).days + 1))


@pytest.mark.parametrize("source", ["silver.account", "raw.account"])
def test_rows_that_come_late_have_their_day_built_anew_and_those_after_it(
    gold: Gold, new: Callable[[], None], source: str
) -> None:
    gold.write("daily", DAILY.format(source))
    new()
    gold.go_on(10)
    assert gold.build().days == days(START, TODAY + timedelta(10))
    before = gold.counts()
    new()
    assert gold.build().days == days(TODAY, TODAY + timedelta(10))
    after = gold.counts()
    assert {d for d in after if after[d] != before[d]} == set(days(TODAY, TODAY + timedelta(10)))


def test_a_day_that_was_built_before_it_was_over_is_built_once_more(
    gold: Gold, new: Callable[[], None]
) -> None:
    gold.write("daily", DAILY.format("silver.account"))
    new()
    gold.build()
    gold.go_on(5)
    assert gold.build().days == days(TODAY, TODAY + timedelta(5))


def test_late_rows_are_not_forgotten_when_somebody_builds_another_day_by_hand(
    gold: Gold, new: Callable[[], None], own_workspace: Workspace
) -> None:
    gold.write("daily", DAILY.format("silver.account"))
    new()
    gold.go_on(10)
    gold.build()
    new()
    org = own_workspace.org()
    (table,) = gold_tables(org.catalog)
    build_gold(org, org.stored_raw, table, days(TODAY + timedelta(9), TODAY + timedelta(10)))
    assert gold.build().days == days(TODAY, TODAY + timedelta(10))


def test_late_rows_go_through_gold_that_is_read_by_gold(
    gold: Gold, new: Callable[[], None]
) -> None:
    gold.write("whole", "SELECT Id, CreatedDate FROM silver.account")
    gold.write("daily", DAILY.format("gold.whole"))
    gold.write("daily2", "SELECT day, n FROM gold.daily WHERE day = $day")
    new()
    gold.go_on(10)
    tables = ("whole", "daily", "daily2")
    for name in tables:
        gold.build(name)
    new()
    assert gold.look("daily2").state is GoldState.WAITING, "what it reads is as it was"
    found = [gold.build(name).days for name in tables]
    assert found == [(), *[days(TODAY, TODAY + timedelta(10))] * 2]
    assert gold.counts("daily2") == gold.counts("daily")
    gold.write("whole", "SELECT Id, CreatedDate FROM silver.account WHERE false")
    found = [gold.build(name).days for name in tables]
    assert found == [(), *[days(START, TODAY + timedelta(10))] * 2]
    assert set(gold.counts("daily2").values()) == {0}


@pytest.mark.parametrize("sql", ["DELETE FROM gold.daily WHERE day = '{}'", "TRUNCATE gold.daily"])
def test_rows_that_others_removed_are_built_again(
    gold: Gold, new: Callable[[], None], sql: str
) -> None:
    gold.write("daily", DAILY.format("silver.account"))
    new()
    gold.build()
    before = gold.counts()
    gold.run(sql.format(START))
    assert gold.look().why == "somebody changed its rows"
    gold.build()
    assert gold.counts() == before


def test_nothing_is_built_twice_when_silver_is_made_anew_and_when_nothing_came(
    gold: Gold, new: Callable[[], None], own_workspace: Workspace
) -> None:
    gold.write("daily", DAILY.format("silver.account"))
    new()
    gold.build()
    own_workspace.tick()
    assert gold.look().state is GoldState.BUILT
    gold.run("DELETE FROM ops.slices; DELETE FROM ops.merges; DROP TABLE silver.account CASCADE")
    own_workspace.load("account")
    assert gold.build().days == days(START, TODAY)


def test_a_view_in_the_place_of_a_table_is_called_one(gold: Gold, new: Callable[[], None]) -> None:
    gold.write("whole", "SELECT Id FROM silver.account")
    gold.write("daily", DAILY.format("silver.account"))
    new()
    gold.run("CREATE VIEW gold.whole AS SELECT 1 AS n; CREATE VIEW gold.Daily AS SELECT 1 AS n")
    for name in ("whole", "daily"):
        with pytest.raises(ConfigError, match=f"gold.{name} is a view.*drop or rename"):
            gold.build(name)


@pytest.mark.duckdb
def test_what_reads_files_or_the_clock_is_built_anew_once_a_day(
    gold: Gold, new: Callable[[], None], own_workspace: Workspace
) -> None:
    rates = own_workspace.folder / "rates.csv"
    rates.write_text("n\n1\n")
    gold.write("priced", f"SELECT n FROM silver.account, read_csv('{rates}') LIMIT 1")
    gold.write("plain", "SELECT count(*) AS n FROM silver.account")
    new()
    gold.build("priced")
    gold.build("plain")
    rates.write_text("n\n2\n")
    gold.go_on(1)
    before = gold.build("priced")
    assert before.state is GoldState.DUE
    assert "reads read_csv()" in (before.why or "")
    assert own_workspace.rows("FROM gold.priced") == [(2,)]
    assert gold.look("plain").state is GoldState.BUILT


@pytest.mark.duckdb
def test_all_days_are_built_anew_once_a_day_of_what_reads_files_or_the_clock(
    gold: Gold, new: Callable[[], None], own_workspace: Workspace
) -> None:
    rates = own_workspace.folder / "rates.csv"
    rates.write_text("n\n1\n")
    gold.write("rates", f"SELECT n FROM read_csv('{rates}')")
    gold.write("daily", f"SELECT $day::DATE AS day, n FROM silver.account, read_csv('{rates}')")
    gold.write("daily2", "SELECT $day::DATE AS day, n FROM gold.rates")
    tables = ("rates", "daily", "daily2")
    new()
    for name in tables:
        gold.build(name)
    gold.go_on(0, seconds=1)
    assert [gold.look(name).state for name in tables] == ["built"] * 3

    rates.write_text("n\n2\n")
    gold.go_on(10)
    org = own_workspace.org()
    (daily,) = (t for t in gold_tables(org.catalog) if t.name == "daily")
    build_gold(org, org.stored_raw, daily, days(TODAY, TODAY + timedelta(10)))
    assert gold.look("daily").state is GoldState.DUE, "some days by hand are not all"
    for name in tables:
        assert gold.build(name).days == (
            () if name == "rates" else days(START, TODAY + timedelta(10))
        )
    assert set(gold.counts().values()) == set(gold.counts("daily2").values()) == {2}


def test_what_reads_gold_that_is_due_waits_for_it(gold: Gold, new: Callable[[], None]) -> None:
    gold.write("whole", "SELECT Id FROM silver.account")
    gold.write("more", "SELECT * FROM gold.whole")
    gold.write("most", "SELECT * FROM gold.more")
    new()
    for name in ("whole", "more", "most"):
        gold.build(name)
    new()
    assert gold.look("whole").state is GoldState.DUE
    for name, read in (("more", "gold.whole, which is due"), ("most", "gold.more, which is wait")):
        status = gold.look(name)
        assert status.state is GoldState.WAITING
        assert read in (status.why or "")
        assert status.built_at
    gold.build("whole")
    assert [gold.look(name).state for name in ("more", "most")] == ["due", "waiting"]


def test_a_star_of_all_versions_has_every_column_that_silver_has(
    gold: Gold, new: Callable[[], None], own_workspace: Workspace
) -> None:
    gold.write("versions", "SELECT * FROM raw.account")
    new()
    gold.build("versions")
    columns = own_workspace.columns
    assert {n for n, _ in columns("silver.account")} == {n for n, _ in columns("gold.versions")}
