"""Live changes, made through the org's own records."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import create_autospec

import pytest

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.records import Records
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.store import Store
from sf_assets.emulator.world import generate
from sf_assets.emulator.world.life import OFFICE, Life, RecordWriter

START = datetime(2026, 6, 1, 9, tzinfo=UTC)
STEPS = 300


class Org:
    """Records of a small org whose clock moves on with every change."""

    def __init__(self, schema: Schema) -> None:
        self.clock = Clock(START, frozen=True)
        self.store = Store(schema)
        for name, rows in generate(schema, seed=3, scale=0.1, now=START):
            self.store.load(name, rows)
        user = self.store.rows('SELECT min("Id") FROM "User"')[0][0]
        self.records = Records(schema, self.store, self.clock, user)

    def live(self, seed: int, steps: int, **more: Any) -> list[str | None]:
        """What happened in so many steps."""
        life = Life(self.records, seed, rate=1, **more)
        happened = []
        for _ in range(steps):
            self.clock.advance(61)
            happened.append(life.step())
        return happened

    def number(self, sql: str) -> Any:
        """The one value that a query gives."""
        return self.store.rows(sql)[0][0]


@pytest.fixture(scope="module")
def schema() -> Schema:
    return standard_schema()


@pytest.fixture(scope="module")
def lived(schema: Schema) -> Iterator[tuple[Org, Counter[str | None]]]:
    """An org after a good day's work."""
    org = Org(schema)
    yield org, Counter(org.live(seed=5, steps=STEPS, weights=OFFICE, late=0))
    org.store.close()


def test_the_org_lets_it_work(lived: tuple[Org, Counter[str | None]]) -> None:
    org, happened = lived
    writer: RecordWriter = org.records
    assert writer is not None
    assert happened[None] == 0
    assert happened.total() == STEPS
    assert len(happened) >= 16, happened


def test_what_happened_is_in_the_records(lived: tuple[Org, Counter[str | None]]) -> None:
    org, happened = lived
    since = f"TIMESTAMP '{START:%Y-%m-%d %H:%M:%S}'"
    created = {
        "Task": happened["task created"],
        "Event": happened["event created"],
        "Case": happened["case created"],
        "Lead": happened["lead created"],
        "Account": happened["account created"] + happened["lead converted"],
        "Contact": happened["contact created"] + happened["lead converted"],
        "Opportunity": happened["opportunity created"] + happened["lead converted"],
    }
    for name, count in created.items():
        found = org.number(f'SELECT count(*) FROM "{name}" WHERE "CreatedDate" > {since}')
        assert found == count > 0, name
    assert org.number(
        f'SELECT count(*) FROM "OpportunityHistory" WHERE "CreatedDate" > {since}'
    ) >= (happened["stage moved"] + happened["opportunity created"])
    assert (
        org.number(f'SELECT count(*) FROM "CaseHistory" WHERE "CreatedDate" > {since}')
        >= (happened["case moved"])
    )


def test_histories_still_agree(lived: tuple[Org, Counter[str | None]]) -> None:
    org, _ = lived
    assert not org.number("""
        SELECT count(*) FROM "Opportunity" AS o JOIN (SELECT *, row_number() OVER (PARTITION BY
        "OpportunityId" ORDER BY "CreatedDate" DESC, "Id" DESC) AS place FROM "OpportunityHistory")
        AS h ON h."OpportunityId" = o."Id" AND place = 1 WHERE NOT o."IsDeleted" AND
        (h."StageName" <> o."StageName" OR h."Amount" IS DISTINCT FROM o."Amount"
        OR h."CloseDate" <> o."CloseDate")
    """)
    assert not org.number("""
        SELECT count(*) FROM "Lead" WHERE "IsConverted" AND ("ConvertedOpportunityId" IS NULL
        OR "ConvertedDate" IS NULL OR "Status" <> 'Closed - Converted')
    """)
    latest = org.number(
        'SELECT max("CloseDate") FROM "Opportunity" WHERE "StageName" = \'Closed Won\''
    )
    assert latest <= org.clock.now().date()


def test_the_same_seed_lives_the_same_life(schema: Schema) -> None:
    lives = []
    for seed in (1, 1, 2):
        org = Org(schema)
        happened = org.live(seed, 40)
        tasks = org.store.rows('SELECT "Id", "Subject", "WhatId" FROM "Task" ORDER BY 1')
        lives.append((happened, tasks))
        org.store.close()
    assert lives[0] == lives[1]
    assert lives[0] != lives[2]


def test_nothing_happens_in_an_empty_org() -> None:
    nobody = create_autospec(RecordWriter, instance=True)
    nobody.sample.return_value = None
    nobody.sample_ids.return_value = []
    assert {Life(nobody, seed, rate=1, late=0).step() for seed in range(30)} == {None}
    for change in (nobody.insert, nobody.update, nobody.delete, nobody.undelete, nobody.merge):
        change.assert_not_called()
