"""What writing a catalogue anew would do to the user's own, told before it is done."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
import yaml

from sf_assets.catalog_file import load_catalog
from sf_assets.pipeline.discovery.activity import Activity
from sf_assets.pipeline.discovery.catalog_diff import CatalogDiff, compare
from sf_assets.pipeline.discovery.discover import Discovery, Found
from sf_assets.pipeline.discovery.partitioning import Partitioning
from sf_assets.windows import Grain

TODAY = date(2026, 11, 20)
START = date(2025, 11, 1)
DAILY, MONTHLY = Partitioning(Grain.DAILY, START), Partitioning(Grain.MONTHLY, START)
SNAPSHOT = Partitioning(Grain.NONE, START)


def found(objects: Mapping[str, Partitioning], label: str = "") -> Discovery:
    """What an org of these objects comes to; it has feeds, too, a secret, and an odd one."""
    counts = Activity(records=1_200, lately=40, months={START: 300})
    uncounted = Activity(records=1, has_cursor=False)
    return Discovery(
        org_id="00D000000000001AAA",
        today=TODAY,
        listed=[*objects, "CaseFeed", "Secret__c", "Odd__c"],
        objects={
            n: Found(n, label or f"{n}s", uncounted if p is SNAPSHOT else counts, p)
            for n, p in objects.items()
        },
        left_out={"Secret__c": "the org refuses"},
        unknown={"Odd__c": "its describe failed"},
    )


def compared(folder: Path, text: str, objects: Mapping[str, Partitioning]) -> CatalogDiff:
    path = folder / "catalog.yaml"
    path.write_text(text, encoding="utf-8")
    return compare(path, found(objects))


def test_a_catalogue_that_was_written_says_what_was_found(tmp_path: Path) -> None:
    objects = {"Account": DAILY, "Case": MONTHLY, "Lead": MONTHLY, "Holiday": SNAPSHOT}
    text = found(objects).text
    diff = compared(tmp_path, text, objects)
    assert diff == CatalogDiff([], {}, {}, [], [])
    catalog = load_catalog(tmp_path / "catalog.yaml")
    read = {name: (spec.grain, spec.start) for name, spec in catalog.objects.items()}
    assert read == {name: (one.grain, one.start) for name, one in objects.items()}
    assert (
        "Account: {grain: daily}  #: Accounts: 1,200 records, 40 changed in a month, 25% " in text
    )
    assert "Holiday: {grain: none}  #: Holidays: 1 record, no stamp" in text
    assert "Case:  #: Cases: 1,200 records" in text
    assert "#: Secret__c is not in it: the org refuses" in text


@pytest.mark.parametrize(
    "label", ["Zeile\r\nzwei", "a\u2028b\u0085c", "\x00\x07\ufeff", "# }: '", "😀"]
)
def test_a_label_of_any_characters_is_a_comment(tmp_path: Path, label: str) -> None:
    text = found({"Account": DAILY, "Case": MONTHLY}, label).text
    assert list(yaml.safe_load(text)["objects"]) == ["Account", "Case"]
    assert compared(tmp_path, text, {"Account": DAILY, "Case": MONTHLY}).lost == []


def test_what_is_new_gone_or_different_is_told_with_the_reason(tmp_path: Path) -> None:
    text = (
        "start: 2025-11-01\nobjects:\n  account:\n  Case: {grain: monthly, start: 2024-01-01}\n"
        "  CaseFeed:\n  Secret__c:\n  Gone__c:\n  Holiday: {grain: none, start: 2020-01-01}\n"
    )
    diff = compared(
        tmp_path, text, {"Account": DAILY, "Case": DAILY, "Lead": MONTHLY, "Holiday": SNAPSHOT}
    )
    assert diff.new == ["Lead"]
    assert diff.changed == {
        "Case": {"grain": ("monthly", "daily"), "start": ("2024-01-01", "2025-11-01")}
    }
    assert {name: reason.split(",")[0] for name, reason in diff.gone.items()} == {
        "CaseFeed": "the org has it",
        "Secret__c": "the org refuses",
        "Gone__c": "the org does not have it",
    }
    assert (diff.lost, diff.unknown) == ([], [])


def test_everything_else_that_the_file_says_is_named_with_its_line(tmp_path: Path) -> None:
    text = """\
# Ask Ann before you change this.
start: 2025-11-01
owners: ["team:crm"]  # not "#sales"

objects:
  Account:
    exclude: [Photo__c]
    checks:
      - unique: Name
  Case:  #: Cases: 12 records
  # Lead is Bob's
  Odd__c: {history: true}
"""
    diff = compared(tmp_path, text, {"Account": DAILY, "Case": DAILY})
    at = f"{tmp_path}/catalog.yaml:"
    assert diff.lost == [
        f"{at}1: # Ask Ann before you change this.",
        f'{at}3: # not "#sales"',
        f"{at}3: owners",
        f"{at}7: objects.Account.exclude",
        f"{at}8: objects.Account.checks",
        f"{at}11: # Lead is Bob's",
        f"{at}12: objects.Odd__c.history",
    ]
    assert diff.unknown == ["Odd__c"]


@pytest.mark.parametrize("content", [b"objects: [", b"objects: {Lead: {grian: x}}", b"\xff\xfe# a"])
def test_of_a_file_that_is_no_catalogue_all_is_lost(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_bytes(content)
    diff = compare(path, found({"Account": DAILY}))
    assert diff.new == ["Account"]
    (lost,) = diff.lost
    assert lost.startswith(f"all of {path}, which is wrong: ")
