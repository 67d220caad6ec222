"""The catalogue: what can be declared, and how errors are told."""

import re
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.utils import is_valid_owner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sf_assets.catalog import PACKAGED_GOLD, Catalog, ObjectSpec
from sf_assets.catalog_file import catalog_within, load_catalog
from sf_assets.errors import ConfigError
from sf_assets.windows import Grain


def read(folder: Path, text: str) -> Catalog:
    path = folder / "catalog.yaml"
    path.write_text(text, encoding="utf-8")
    return load_catalog(path)


def refused(folder: Path, text: str) -> str:
    """Why a catalogue is refused."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value)


def test_the_packaged_catalogue_names_the_standard_objects() -> None:
    names = set(load_catalog().objects)
    assert names >= {
        "Account", "Contact", "Opportunity", "Lead", "Case", "Task", "Event", "User", "Campaign",
        "Product2", "OpportunityLineItem",
    }  # fmt: skip


def test_objects_take_the_defaults_of_the_file_unless_they_say_otherwise(tmp_path: Path) -> None:
    catalog = read(
        tmp_path,
        "start: 2024-03-01\ngrain: monthly\nowners: ['team:crm']\nobjects:\n  Account:\n"
        "  Invoice__c: {grain: daily, start: 2020-01-01, owners: [], tags: {pii: 'no'},\n"
        "    fields: [Name, Amount__c], exclude: [Secret__c]}\n",
    )
    account, invoice = catalog.objects.values()
    assert (account.name, account.slug) == ("Account", "account")
    assert (account.grain, account.start) == (Grain.MONTHLY, date(2024, 3, 1))
    assert account.owners == catalog.owners == ("team:crm",)
    assert account.fields is None
    assert (invoice.grain, invoice.start) == (Grain.DAILY, date(2020, 1, 1))
    assert (invoice.owners, invoice.tags) == ((), {"pii": "no"})
    assert (invoice.fields, invoice.exclude) == (("Name", "Amount__c"), ("Secret__c",))
    assert catalog.gold == PACKAGED_GOLD


def test_times_are_set_for_the_file_and_for_an_object(tmp_path: Path) -> None:
    catalog = read(
        tmp_path,
        "timezone: Europe/Berlin\nrefresh: every hour\ndaily_checks: at 07:15\nobjects:\n"
        "  Lead:\n  Case: {refresh: every 10 minutes, derived: '0 22 * * 1-5'}\n",
    )
    lead, case = catalog.objects.values()
    assert (lead.refresh.cron, lead.derived.cron) == ("0 * * * *", "0 5 * * *")
    assert (case.refresh.cron, case.derived.cron) == ("*/10 * * * *", "0 22 * * 1-5")
    assert (catalog.daily_checks.cron, catalog.timezone) == ("15 7 * * *", "Europe/Berlin")
    plain = read(tmp_path, "objects: {Lead: }")
    assert plain.objects["Lead"].refresh.pause == timedelta(minutes=5)
    assert (plain.daily_checks.cron, plain.timezone) == ("0 6 * * *", "UTC")


def test_paths_begin_at_the_catalogues_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "sql").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "c.yaml").write_text(
        "gold: sql\nobjects:\n  Case: {soql: case.soql}\n  Lead: {soql: /abs/lead.soql}\n"
    )
    catalog = load_catalog(Path("conf/c.yaml"))
    assert catalog.gold == tmp_path / "conf" / "sql"
    assert catalog.objects["Case"].soql == tmp_path / "conf" / "case.soql"
    assert catalog.objects["Lead"].soql == Path("/abs/lead.soql")


def test_objects_are_selected_by_name_in_any_case_and_in_the_order_asked_for(
    tmp_path: Path,
) -> None:
    catalog = read(tmp_path, "objects: {Account: , Lead: , Case: }")
    assert [spec.name for spec in catalog.select(["lead", "ACCOUNT"])] == ["Lead", "Account"]
    assert [spec.name for spec in catalog.select([])] == ["Account", "Lead", "Case"]
    with pytest.raises(ConfigError, match="has no contact; it has Account, Lead, Case"):
        catalog.select(["Contact", "Lead"])


def test_a_file_that_is_not_there_is_told_with_the_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SF_ASSETS_CATALOG"):
        load_catalog(tmp_path / "none.yaml")


ERRORS = {
    "an unknown word": ("objects:\n  Lead:\n    grian: daily", 3, "objects.Lead.grian"),
    "an unknown word at the top": ("objects: {Lead: }\nowner: me", 2, "owner"),
    "an unknown grain": ("objects:\n  Lead:\n\n    grain: weekly", 4, "objects.Lead.grain"),
    "a grain of the top": ("grain: weekly\nobjects: {Lead: }", 1, "grain"),
    "no date": ("objects:\n  Lead: {start: soon}", 2, "objects.Lead.start"),
    "a date that no calendar has": ("objects: {Lead: }\nstart: 2025-02-30", 2, "2025-02-30"),
    "a name that no object has": ("objects:\n  Lead:\n  Out Of Space:", 3, "Out Of Space"),
    "an entry of a list": ("objects:\n  Lead:\n    fields:\n    - Id\n    - a b", 5, "fields.1"),
    "an object that is a word": ("objects:\n  Case:\n  Lead: daily", 3, "objects.Lead"),
    "no object": ("# nothing\nobjects: {}", 2, "objects"),
    "objects that are a list": ("start: 2025-01-01\nobjects: [Lead]", 2, "objects"),
    "nothing at all": ("", 1, "objects"),
    "a list": ("- Lead", 1, "objects"),
    "an org by a bad name": ("objects: {Lead: }\norgs:\n- uk\n- U-S", 4, "orgs.1"),
    "an org twice": ("objects: {Lead: }\norgs: [uk, us, uk]", 2, "uk"),
    "an org whose tables are those of all": ("objects: {Lead: }\norgs: [all]", 2, "silver_all"),
    "a word by an org": (
        "objects: {Lead: }\norgs:\n  uk:\n    strat: 2026-01-01",
        4,
        "orgs.uk.strat",
    ),
    "a bad name of an org with its own": (
        "objects: {Lead: }\norgs:\n  uk: {}\n  U-S: {}",
        4,
        "U-S",
    ),
    "an org that is a word": ("objects: {Lead: }\norgs:\n  uk: daily", 3, "orgs.uk"),
    "an object of an org": (
        "objects: {Lead: }\norgs:\n  uk:\n    objects:\n      Case: {grain: weekly}",
        5,
        "orgs.uk.objects.Case.grain",
    ),
    "a field twice by an org": (
        "objects: {Lead: }\norgs:\n  uk:\n    objects:\n      Case:\n        fields: [A, a]",
        6,
        "a is there twice",
    ),
    "an org without an object": ("orgs:\n  uk: {objects: {Lead: }}\n  us:", 3, "orgs.us"),
    "what holds for orgs": ("objects: {Lead: }\nof_orgs: {}", 2, "no setting"),
    "an object twice": ("objects:\n  Lead:\n  Case:\n  Lead:", 4, "Lead"),
    "an object twice in different case": ("objects:\n  Lead:\n  Case:\n  lead:", 4, "lead"),
    "a word twice": ("objects:\n  Lead:\n    grain: daily\n    grain: monthly", 4, "grain"),
    "a name of its own": ("objects:\n  Lead:\n  Case: {name: Lead}", 3, "name"),
    "a path of its own": ("path: x\nobjects: {Lead: }", 1, "path"),
    "no YAML": ("objects:\n  Lead: {grain: daily", 2, "not YAML"),
    "a tab": ("objects:\n\tLead:", 2, "not YAML"),
    "a control character": ("objects:\n  Lead: \x01", 2, "not YAML"),
    "an owner that Dagster refuses": ("objects:\n  Lead:\n    owners:\n    - me", 4, "team:name"),
    "an owner of the top": ("objects: {Lead: }\nowners: [ann@example.technology]", 2, "owners.0"),
    "a team without a name": ("owners: ['team:']\nobjects: {Lead: }", 1, "owners.0"),
    "a tag's key": ("objects:\n  Lead:\n    tags:\n      a b: c", 4, "objects.Lead.tags.a b: "),
    "a tag's value": ("objects:\n  Lead:\n    tags:\n      a: b c", 4, "objects.Lead.tags.a: "),
    "a tag that is Dagster's": ("objects: {Lead: {tags: {dagster/x: y}}}", 1, "tags.dagster/x"),
    "fields beside a query": (
        "objects:\n  Lead:\n    soql: a.soql\n    fields: [Id]",
        4,
        "those that a.soql selects",
    ),
    "fields to leave out beside a query": (
        "objects:\n  Lead:\n    exclude: [Id]\n    soql: a.soql",
        3,
        "objects.Lead.exclude",
    ),
    "a field twice": ("objects:\n  Lead:\n    fields:\n    - A\n    - a", 5, "a is there twice"),
    "a field both ways": (
        "objects:\n  Lead:\n    fields: [A]\n    exclude: [a]",
        4,
        "a is there in fields, too",
    ),
    "a folder of gold that is not there": ("gold: glod\nobjects: {Lead: }", 1, "no folder"),
    "a start that no org has": ("objects: {Lead: }\nstart: 1970-01-01", 2, "and today"),
    "a start to come": ("objects:\n  Lead:\n    start: 2999-01-01", 3, "and today"),
    "a place of its own": ("objects:\n  Lead: {lines: {}}", 2, "no setting"),
    "too deep": ("[" * 3000, 1, "nested too deep"),
    "a time that nobody understands": (
        "objects:\n  Lead:\n    refresh: every 7 minutes",
        3,
        "objects.Lead.refresh: write `every 5 minutes`",
    ),
    "a time of the top": ("derived: 05:00\nobjects: {Lead: }", 1, "derived: write `every"),
    "a refresh too often": ("refresh: '* * * * *'\nobjects: {Lead: }", 1, "five minutes"),
    "no time zone": ("objects: {Lead: }\ntimezone: Berlin", 2, "no time zone 'Berlin'"),
    "a time zone of an object": ("objects:\n  Lead: {timezone: UTC}", 2, "Lead.timezone"),
    "a number that is none": ("objects:\n  Lead: {tags: {a: 0x_}}", 2, "0x_"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_names_the_file_the_line_and_what_is_wrong(tmp_path: Path, case: str) -> None:
    text, line, what = ERRORS[case]
    message = refused(tmp_path, text)
    assert message.startswith(f"{tmp_path}/catalog.yaml:{line}: ")
    assert what in message


@given(st.text(max_size=12) | st.from_regex(r"team:.?|[a-z.%]+@[a-z-]+\.[a-z]+", fullmatch=True))
def test_owners_are_those_that_dagster_takes(owner: str) -> None:
    problem = ""
    try:
        ObjectSpec(name="Lead", grain=Grain.DAILY, start=date(2025, 1, 1), owners=(owner,))
    except ValidationError as error:
        problem = str(error)
    assert bool(problem) != is_valid_owner(owner)


@given(st.text(max_size=70) | st.from_regex(r"([a-z._-]+/)?[A-Z0-9._-]*", fullmatch=True))
def test_tags_are_those_that_dagster_takes(text: str) -> None:
    reserved = text.startswith(("dagster/", "salesforce/"))
    for tags in ({text: "x"}, {"x": text}):
        ours = theirs = True
        try:
            ObjectSpec(name="Lead", grain=Grain.DAILY, start=date(2025, 1, 1), tags=tags)
        except ValidationError:
            ours = False
        try:
            dg.AssetSpec("lead", tags=tags)
        except dg.DagsterInvalidDefinitionError:
            theirs = False
        assert theirs or not ours
        assert ours or not theirs or (reserved and text in tags) or text.count("/") > 1


def test_places_of_fields_are_known(tmp_path: Path) -> None:
    catalog = read(
        tmp_path, "objects:\n  Lead:\n    exclude:\n    - A\n\n    - B\n    fields: [C, D]\n"
    )
    lead = catalog.objects["Lead"]
    assert lead.place("exclude", 1) == f"{tmp_path}/catalog.yaml:6: objects.Lead.exclude"
    assert lead.place("fields", 1) == f"{tmp_path}/catalog.yaml:7: objects.Lead.fields"


def test_a_query_that_no_object_names_is_told(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    for name in ("case.soql", "sql/lead.soql", "sql/lost.soql", "account.soql", "notes.txt"):
        (tmp_path / name).write_text("")
    objects = "objects:\n  Case: {soql: case.soql}\n  Lead: {soql: sql/lead.soql}\n"
    found = [path.name for path in read(tmp_path, objects).unread]
    assert sorted(found) == ["account.soql", "lost.soql"]


def test_a_file_that_is_not_utf_8_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_bytes(b"# caf\xe9\nobjects: {Lead: }\n")
    with pytest.raises(ConfigError, match=r"catalog\.yaml.* UTF-8"):
        load_catalog(path)


def test_a_second_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"catalog.yaml:4: a catalogue is one document"):
        read(tmp_path, "objects:\n  Account:\n---\nobjects:\n  Lead:\n")


def test_a_catalogue_is_a_part_of_another_file(tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    text = (
        "type: a\n---\ntype: b\nattributes:\n  catalog:\n    gold: sql\n    objects: {Lead: {}}\n"
    )
    path.write_text(text)
    (tmp_path / "sql").mkdir()
    found = catalog_within(path, "catalog", 5)
    assert (list(found.objects), found.path, found.gold) == (["Lead"], path, tmp_path / "sql")
    path.write_text(text.replace("Lead: {}", "Lead: {grain: hourly}"))
    with pytest.raises(ConfigError, match=r"defs.yaml:7: objects.Lead.grain: "):
        catalog_within(path, "catalog", 5)
    with pytest.raises(ConfigError, match=r"defs.yaml:4: there is no catalog here"):
        catalog_within(path, "catalog", 4)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_bytes(b"\xef\xbb\xbfobjects: {Lead: }\n")
    assert list(load_catalog(path).objects) == ["Lead"]


good = st.fixed_dictionaries(
    {},
    optional={
        "grain": st.sampled_from(["daily", "monthly", "none"]),
        "start": st.dates(date(2000, 1, 1), date(2026, 1, 1)).map(str),
        "fields": st.lists(st.sampled_from(["Id", "Name", "X__c"]), max_size=3, unique=True),
        "tags": st.dictionaries(st.sampled_from("ab"), st.text("xyz"), max_size=2),
    },
)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,6}", fullmatch=True)
catalogues = st.lists(
    st.tuples(names, good), min_size=1, max_size=6, unique_by=lambda i: i[0].lower()
)


@given(catalogues, st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_wrong_word_anywhere_is_found_on_its_line(
    tmp_path: Path, entries: list[tuple[str, dict[str, object]]], data: st.DataObject
) -> None:
    victim = data.draw(st.sampled_from(entries))[0]
    lines = ["objects:"]
    for name, options in entries:
        lines += data.draw(st.lists(st.sampled_from(["", "  # a comment"]), max_size=2))
        lines.append(f"  '{name}':")
        lines += [
            f"    {key}: {yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}"
            for key, value in options.items()
        ]
        if name == victim:
            lines.append("    wrong: 1")
            line = len(lines)
    message = refused(tmp_path, "\n".join(lines))
    assert re.match(rf".*catalog\.yaml:{line}: objects\.{victim}\.wrong: ", message)
    lines[line - 1] = ""
    assert list(read(tmp_path, "\n".join(lines)).objects) == [name for name, _ in entries]


@given(
    st.text(st.sampled_from("objects: Lead\n-{}[],'\"&*a!|>#?%@`0123456789.<=~\t\x00\x85e+_"))
    | st.text(st.characters(exclude_categories=["Cs"]))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_no_text_at_all_brings_anything_but_a_catalogue_or_a_plain_error(
    tmp_path: Path, text: str
) -> None:
    problem = ""
    try:
        assert read(tmp_path, text).objects
    except ConfigError as error:
        problem = str(error)
    assert not problem or problem.startswith(f"{tmp_path}/catalog.yaml:")


def test_orgs_may_have_what_is_their_own(tmp_path: Path) -> None:
    (tmp_path / "case.soql").write_text("SELECT Id, SystemModstamp, IsDeleted FROM Case")
    (tmp_path / "us").mkdir()
    catalog = read(
        tmp_path,
        "start: 2026-01-01\n"
        "objects: {Account: {history: true, grain: monthly}, Contact: }\n"
        "orgs:\n"
        "  emea:\n"
        "  us:\n"
        "    start: 2026-03-01\n"
        "    timezone: America/New_York\n"
        "    daily_checks: at 03:00\n"
        "    api_reserve_percent: 50\n"
        "    gold: us\n"
        "    objects: {Account: {grain: daily}, Case: {soql: case.soql}}\n",
    )
    assert catalog.orgs == ("emea", "us")
    assert catalog.for_org("emea") is catalog
    us = catalog.for_org("us")
    assert (us.start, us.timezone, us.daily_checks.cron) == (
        date(2026, 3, 1), "America/New_York", "0 3 * * *"
    )  # fmt: skip
    assert (us.api_reserve_percent, catalog.api_reserve_percent) == (50, None)
    assert us.gold == tmp_path / "us"
    assert us.orgs == catalog.orgs
    account, case = us.objects.values()
    assert (account.history, account.grain, account.start) == (True, Grain.DAILY, us.start)
    assert case.soql == tmp_path / "case.soql"
    assert catalog.unread == us.unread == ()
    assert catalog.known == us.known == {"account", "contact", "case"}


def test_objects_may_stand_by_the_orgs_alone(tmp_path: Path) -> None:
    catalog = read(
        tmp_path,
        "orgs:\n  emea: {objects: {Account: {grain: monthly}}}\n"
        "  us: {objects: {Account: , Lead: }}\n",
    )
    assert list(catalog.for_org("emea").objects) == ["Account"]
    assert catalog.for_org("us").objects["Account"].grain is Grain.DAILY
    assert catalog.objects.keys() == {"Account", "Lead"}
