"""Describes are kept so that neither a lost file nor two runs at once lose one."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from sf_assets.describe import FieldInfo, ObjectInfo
from sf_assets.storage.schema_cache import Describes
from sf_assets.storage.store import Store

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def info(name: str, *fields: str) -> ObjectInfo:
    found = (FieldInfo(name=field, type="double") for field in fields)
    return ObjectInfo(name=name, fields=(FieldInfo(name="Id", type="id"), *found))


def keep(describes: Describes, when: datetime, *infos: ObjectInfo) -> None:
    new = {i.name.lower(): i for i in infos}
    describes.keep(when, describes.last(new), new, lambda slug, _before: new[slug])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/raw")


@pytest.fixture
def describes(store: Store) -> Describes:
    kept = Describes(store, "00D1")
    keep(kept, NOON, info("Account", "Old__c"), info("Lead"))
    keep(kept, NOON + HOUR, info("Account", "Old__c", "New__c"))
    return kept


def test_describes_are_kept_beside_each_other(describes: Describes) -> None:
    found = describes.last(["account", "lead", "case"])
    assert {slug: (kept.asked_at, len(kept.info.fields)) for slug, kept in found.items()} == {
        "account": (NOON + HOUR, 3),
        "lead": (NOON, 1),
    }
    assert describes.names() == {"account", "lead"}
    assert [(at, sorted(infos)) for at, infos in describes.history()] == [
        (NOON, ["account", "lead"]),
        (NOON + HOUR, ["account"]),
    ]


def test_what_says_nothing_new_is_not_kept_again(store: Store, describes: Describes) -> None:
    newest = describes.newest_change()
    keep(describes, NOON + 2 * HOUR, info("Account", "Old__c", "New__c"))
    assert describes.last(["account"])["account"].asked_at == NOON + 2 * HOUR
    assert describes.newest_change() == newest
    assert len(list(store.list("00D1/describes"))) == 5  # two objects, two changes, one lock


@pytest.mark.parametrize(
    "damage",
    [b"", b" ", b"{", b"null", b"[]", b"{}", b'{"asked_at": 5}', b'{"asked_at": "2026", "x": 1}',
     b'{"asked_at": "2026-11-21T12:00:00+00:00", "describe": {"name": "Account"}}',
     b'{"asked_at": "2026-11-21T12:00:00+00:00", "describe": {"name": "Lead", "fields": []}}',
     b"\xff\xfe", None],
)  # fmt: skip
def test_a_describe_that_is_lost_or_damaged_is_found_in_the_history(
    store: Store, describes: Describes, damage: bytes | None
) -> None:
    path = "00D1/describes/account.json"
    store.delete([path])
    if damage is not None:
        store.put(path, damage)
    found = describes.last(["account", "lead"])
    assert found["account"].info == info("Account", "Old__c", "New__c")
    assert found["account"].asked_at == NOON + HOUR
    newest = describes.newest_change()
    keep(describes, NOON + 3 * HOUR, info("Account", "Old__c", "New__c"))
    assert json.loads(store.get(path))["describe"]["name"] == "Account", "and it is there again"
    assert describes.newest_change() == newest


def test_a_damaged_file_of_the_history_does_not_hide_the_others(
    store: Store, describes: Describes
) -> None:
    for name in ("account", "lead"):
        store.delete([f"00D1/describes/{name}.json"])
    store.put(str(describes.newest_change()), b'{"account": {')
    assert describes.last(["account"])["account"].info == info("Account", "Old__c")


def test_what_older_releases_kept_in_one_file_is_read(store: Store, tmp_path: Path) -> None:
    old = {
        "account": {
            "asked_at": "2026-11-21T12:00:00+00:00",
            "describe": {"name": "Account", "fields": [{"name": "Id", "type": "id"}]},
        },
        "lead": {"asked_at": "2026-11-21T12:00:00+00:00"},
    }
    (tmp_path / "raw/00D1").mkdir()
    store.put("00D1/describe.json", json.dumps(old).encode())
    describes = Describes(store, "00D1")
    found = describes.last(["account", "lead"])
    assert {slug: kept.info.name for slug, kept in found.items()} == {"account": "Account"}
    keep(describes, NOON + HOUR, info("Account", "New__c"))
    assert describes.last(["account"])["account"].asked_at == NOON + HOUR
    assert describes.names() == {"account"}


def in_memory(_tmp_path: Path) -> Store:
    """A store that compares tags itself, as buckets do."""
    store = Store.__new__(Store)
    vars(store).update(url="s3://bucket", _folder=None, _store=MemoryStore())
    return store


def in_a_folder(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/raw")


@pytest.mark.parametrize("make", [in_memory, in_a_folder])
def test_runs_that_describe_at_the_same_time_lose_no_field(
    make: Callable[[Path], Store], tmp_path: Path
) -> None:
    store = make(tmp_path)
    keep(Describes(store, "00D1"), NOON, info("Account"))
    before = Describes(store, "00D1").last(["account"])  # read by all before any writes

    def describe(number: int) -> None:
        def seen(_slug: str, known: ObjectInfo | None) -> ObjectInfo:
            assert known is not None
            new = (FieldInfo(name=f"F{number}__c", type="double"),)
            return known.model_copy(update={"fields": known.fields + new})

        at = NOON + timedelta(seconds=number)
        Describes(store, "00D1").keep(at, before, ["account"], seen)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(describe, range(8, 0, -1)))
    found = Describes(store, "00D1").last(["account"])["account"]
    assert found.asked_at == NOON + timedelta(seconds=8), "the latest answer stays"
    assert found.info.field("F8__c")


@pytest.mark.parametrize("make", [in_memory, in_a_folder])
def test_only_the_version_that_was_read_is_replaced(
    make: Callable[[Path], Store], tmp_path: Path
) -> None:
    store = make(tmp_path)
    assert store.replace("a/x.json", b"1", None)
    assert not store.replace("a/x.json", b"2", None)
    _, tag = store.get_tagged("a/x.json")
    assert store.replace("a/x.json", b"3", tag)
    assert not store.replace("a/x.json", b"4", tag)
    assert store.get("a/x.json") == b"3"
    _, tag = store.get_tagged("a/x.json")
    store.delete(["a/x.json"])
    assert not store.replace("a/x.json", b"5", tag)


def test_of_many_who_replace_one_version_one_succeeds(tmp_path: Path) -> None:
    store = in_a_folder(tmp_path)
    store.put("a/x.json", b"0")
    _, tag = store.get_tagged("a/x.json")
    with ThreadPoolExecutor(8) as pool:
        won = pool.map(lambda n: store.replace("a/x.json", f"{n:03}".encode(), tag), range(40))
        assert sum(won) == 1
