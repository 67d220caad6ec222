"""Describes and records from files: as tools write them, and in whatever state they are."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.emulator import command
from sf_assets.emulator.command import emulator_command
from sf_assets.emulator.metadata import load_describes, standard_schema
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.emulator.world import generate, load_folder
from sf_assets_tests.emulator.conftest import Api
from sf_assets_tests.shared import SHARED, needs_shared

EXAMPLES = int(os.environ.get("SF_ASSETS_FUZZ_EXAMPLES", "100"))
NOW = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
SAMPLES = SHARED / "salesforce" / "fixtures" / "sample-data"
MANAGER = {"name": "Manager__c", "type": "reference", "referenceTo": ["User"],
           "relationshipName": "Manager__r", "nillable": True}  # fmt: skip
HOME: dict[str, Any] = {
    "name": "Home__c",
    "keyPrefix": "a03",
    "label": "Home",
    "childRelationships": [{"childSObject": "Home__c", "field": "Next__c"}],
    "recordTypeInfos": [{"recordTypeId": "012000000000000AAA", "master": True}],
    "fields": [
        {"name": "Id", "type": "id"},
        {"name": "Name", "type": "string", "length": 80},
        {"name": "Size__c", "type": "double", "precision": 18, "scale": 2},
        {"name": "Count__c", "type": "int", "digits": 9},
        {"name": "Kind__c", "type": "picklist", "picklistValues": [{"value": "A"}, {"value": "B"}]},
        MANAGER,
        {"name": "Next__c", "type": "reference", "referenceTo": ["Home__c"]},
        {"name": "SystemModstamp", "type": "datetime"},
    ],
}
PLAN = [
    {"sobject": "Account", "saveRefs": True, "files": ["Accounts.json"]},
    {"sobject": "Contact", "resolveRefs": True, "files": ["people-1.json", "people-2.json"]},
]


def account(reference: str, **more: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Account", "referenceId": reference}, "Name": "A", **more}


def contact(reference: str, parent: str) -> dict[str, Any]:
    attributes = {"type": "Contact", "referenceId": reference}
    return {"attributes": attributes, "LastName": "Oduya", "AccountId": f"@{parent}"}


def written(folder: Path, **documents: Any) -> Path:
    """A folder with JSON files; `Account_plan` is `Account-plan.json`."""
    for name, document in documents.items():
        path = folder / f"{name.replace('_plan', '-plan')}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
    return folder


def loaded(folder: Path, schema: Schema | None = None) -> dict[str, list[dict[str, Any]]]:
    """Rows by object."""
    tables = load_folder(schema or standard_schema(), folder, now=NOW)
    return {name: rows.to_pylist() for name, rows in tables}


def test_a_describe_as_the_cli_writes_it(tmp_path: Path) -> None:
    written(tmp_path, Home__c_describe={"status": 0, "result": HOME, "warnings": []})
    home = load_describes(tmp_path).get("Home__c")
    assert home is not None
    assert home.document["label"] == "Home"
    assert home.document["createable"] is True
    assert home.fields["id"].document["filterable"] is True
    assert home.fields["manager__c"].relationship_name == "Manager__r"


def test_a_lookup_to_users_whom_nobody_described(tmp_path: Path) -> None:
    written(tmp_path, Home__c_describe=HOME)
    settings = Settings(job_seconds=0.02)
    with Emulator(describes=tmp_path, settings=settings) as org:
        api = Api(org)
        homes = api.query("SELECT Id, Manager__c FROM Home__c")
        managers = {str(h["Manager__c"])[:3] for h in homes if h["Manager__c"]}
        assert managers == {"005"}
        refused = api("GET", "/query", params={"q": "SELECT Manager__r.Name FROM Home__c"})
        assert refused.json()[0]["errorCode"] == "INVALID_FIELD"
        api.http.close()


def test_an_exported_tree_with_its_plan(tmp_path: Path) -> None:
    written(
        tmp_path,
        Account_Contact_plan=PLAN,
        Accounts={"records": [account("AccountRef1")]},
        people_1={"records": [contact("c1", "AccountRef1")]},
        people_2={"records": [contact("c2", "AccountRef1")]},
    )
    (tmp_path / "people_1.json").rename(tmp_path / "people-1.json")
    (tmp_path / "people_2.json").rename(tmp_path / "people-2.json")
    rows = loaded(tmp_path)
    assert [len(rows[name]) for name in ("Account", "Contact")] == [1, 2]
    assert {row["AccountId"] for row in rows["Contact"]} == {rows["Account"][0]["Id"]}


@pytest.mark.parametrize("names", [("Accounts", "Contacts"), ("Account", "Contact"), ("a", "b")])
def test_an_exported_tree_without_its_plan(tmp_path: Path, names: tuple[str, str]) -> None:
    documents = {
        names[0]: {"records": [account("AccountRef1")]},
        names[1]: {"status": 0, "result": {"records": [contact("c1", "AccountRef1")]}},
    }
    rows = loaded(written(tmp_path, **documents))
    assert rows["Contact"][0]["AccountId"] == rows["Account"][0]["Id"]


@needs_shared
@pytest.mark.parametrize(
    "plan", ["accounts-contacts", "commonChild__Account-Opportunity-Task-Case"]
)
def test_plans_of_the_cli_itself(tmp_path: Path, plan: str) -> None:
    source = SAMPLES / "plugin-data" / f"{plan}-plan.json"
    for step in json.loads(source.read_bytes()):
        for name in step["files"]:
            found = source.parent / name
            if not found.exists():
                found = source.parent / f"{plan.partition('__')[0]}__{name}"
            (tmp_path / name).write_bytes(found.read_bytes())
    (tmp_path / source.name).write_bytes(source.read_bytes())
    assert len(loaded(tmp_path)["Account"]) >= 1


def test_files_that_systems_keep_beside_them_are_no_records(tmp_path: Path) -> None:
    written(tmp_path, Account=[account("a")])
    (tmp_path / "._Account.json").write_bytes(b"\0\5\26\7")
    (tmp_path / "README.md").write_text("Records.", encoding="utf-8")
    (tmp_path / "Contact.csv").mkdir()
    (tmp_path / "Lead.CSV").write_text("LastName,Company\nOduya,Pine\n", encoding="utf-8")
    assert {name: len(rows) for name, rows in loaded(tmp_path).items()} == {"Account": 1, "Lead": 1}


def with_field(**attributes: Any) -> dict[str, Any]:
    """A describe with one more field."""
    return {**HOME, "fields": [*HOME["fields"], {"name": "B", "type": "string", **attributes}]}


NESTED = b"[" * 100_000
DESCRIBES: dict[str, Any] = {
    "empty file": b"",
    "nested without end": NESTED,
    "not UTF-8": b'{"name": "\xff"}',
    "an error": {"status": 1, "name": "NOT_FOUND", "message": "no such object"},
    "result that is none": {"status": 0, "result": None},
    "name that is none": {**HOME, "name": "../x"},
    "name that is a number": {**HOME, "name": 5},
    "keyPrefix too long": {**HOME, "keyPrefix": "a03x"},
    "fields that are no list": {**HOME, "fields": {"Id": "id"}},
    "field that is none": {**HOME, "fields": [None]},
    "field without a name": {**HOME, "fields": [{"type": "id"}]},
    "field with a bad name": {**HOME, "fields": [*HOME["fields"], {"name": "a b", "type": "int"}]},
    "a field twice": {**HOME, "fields": [*HOME["fields"], {"name": "NAME", "type": "string"}]},
    "no Id": {**HOME, "fields": HOME["fields"][1:]},
    "length that is text": {**HOME, "fields": [{"name": "Id", "type": "id", "length": "18"}]},
    "length beyond measure": {**HOME, "fields": [{"name": "Id", "type": "id", "length": 10**30}]},
    "referenceTo that is text": with_field(type="reference", referenceTo="A"),
    "picklist that is none": with_field(type="picklist", picklistValues=[1]),
    "validFor that is none": with_field(picklistValues=[{"value": "a", "validFor": "a"}]),
    "children that are no list": {**HOME, "childRelationships": 5},
    "a child that is none": {**HOME, "childRelationships": [{"field": "X"}]},
    "queryable that is text": {**HOME, "queryable": "yes"},
}  # fmt: skip


@pytest.mark.parametrize("what", DESCRIBES)
def test_an_odd_describe_is_one_line_with_its_file(tmp_path: Path, what: str) -> None:
    document = DESCRIBES[what]
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    (tmp_path / "Home__c_describe.json").write_bytes(text)
    refused(["--describe", str(tmp_path)], "Home__c_describe.json")


@pytest.mark.parametrize("nothing", ["childRelationships", "recordTypeInfos", "label", "urls"])
def test_null_is_as_good_as_absent(tmp_path: Path, nothing: str) -> None:
    fields = [{**f, "picklistValues": None, "referenceTo": None} for f in HOME["fields"]]
    written(tmp_path, Home__c_describe={**HOME, "fields": fields, nothing: None})
    schema = load_describes(tmp_path)
    assert [name for name, _ in made(schema)] == ["Home__c"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_no_harm(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "Home__c_describe.json").write_text(json.dumps(HOME), encoding=encoding)
    assert load_describes(tmp_path).get("Home__c") is not None


RECORDS: dict[str, tuple[str, Any]] = {
    "empty file": ("Account.json", b""),
    "empty CSV": ("Account.csv", b""),
    "CSV in UTF-16": ("Account.csv", "Name\nPine\n".encode("utf-16")),
    "CSV with a column twice": ("Account.csv", b"Name,NAME\na,b\n"),
    "CSV with a cell too much": ("Account.csv", b"Name\na,b\n"),
    "CSV with NUL": ("Account.csv", b"Name\0\na\n"),
    "nested without end": ("Account.json", NESTED),
    "records: null": ("Account.json", {"records": None}),
    "a number": ("Account.json", 5),
    "a record that is none": ("Account.json", [None]),
    "attributes that are none": ("Account.json", [{"attributes": [1], "Name": "A"}]),
    "a record of something else": ("Account.json", [{"attributes": {"type": "Lead"}}]),
    "an object that is not there": ("Acounts.json", [{"Name": "A"}]),
    "a type that is not there": ("x.json", [{"attributes": {"type": "Nope"}, "Name": "A"}]),
    "a field that is not there": ("Account.json", [{"Nope": 1}]),
    "a field twice": ("Account.json", [{"Name": "A", "name": "B"}]),
    "a value that is a list": ("Account.json", [{"Name": ["A"]}]),
    "an Id that is a number": ("Account.json", [{"Id": 5}]),
    "an Id twice": ("Account.json", [{"Id": "001000000000001AAA"}] * 2),
    "a referenceId twice": ("Account.json", [account("a"), account("a")]),
    "a reference to nothing": ("Account.json", [{"ParentId": "@nothing"}]),
    "a huge number": ("Account.json", b'[{"NumberOfEmployees": ' + b"9" * 5000 + b"}]"),
    "a number out of range": ("Account.json", [{"NumberOfEmployees": 10**12}]),
    "infinity": ("Account.json", b'[{"AnnualRevenue": 1e999}]'),
    "half a character": ("Account.json", b'[{"Name": "\\ud83d"}]'),
    "a day that is none": ("Contact.json", [{"LastName": "A", "Birthdate": "2026-02-30"}]),
    "children of no relationship": ("Account.json", [{"Nope": {"records": []}}]),
    "a plan that is none": ("Account-plan.json", {"files": []}),
    "a plan of files that are not there": ("Account-plan.json", PLAN),
    "a plan outside the org": ("X-plan.json", [{"sobject": "X", "files": ["X-plan.json"]}]),
}


@pytest.mark.parametrize("what", RECORDS)
def test_an_odd_file_of_records_is_one_line_with_its_name(tmp_path: Path, what: str) -> None:
    name, document = RECORDS[what]
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    (tmp_path / name).write_bytes(text)
    refused(["--load", str(tmp_path)], str(tmp_path))


def test_a_key_that_is_none_is_one_line_with_its_file(tmp_path: Path) -> None:
    odd = [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
           b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]  # fmt: skip
    for number, content in enumerate(odd):
        path = tmp_path / f"key{number}.pem"
        path.write_bytes(content)
        refused(["--jwt-key", str(path)], path.name)


def test_the_key_of_jwt_logins_may_be_a_certificate(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    made_out = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW)
    (tmp_path / "cert.pem").write_bytes(
        made_out.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(pem)
    keys = {command._public_key(tmp_path / file) for file in ("cert.pem", "key.pem")}  # noqa: SLF001
    assert keys == {pem.decode()}


def refused(options: list[str], name: str) -> None:
    """The command ends with one line that names the file."""
    # An org that starts none the less ends at once: it can write its credentials nowhere.
    nowhere = ["--env-file", "/nowhere/at/all"]
    result = CliRunner().invoke(emulator_command, [*options, *nowhere])
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    lines = result.output.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert name in lines[0]


def made(schema: Schema) -> list[tuple[str, int]]:
    """Objects of an org that is made up, with their rows."""
    tables = generate(schema, seed=1, scale=0.01, now=NOW)
    return [(name, rows.num_rows) for name, rows in tables]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=5), scalars)


@st.composite
def damaged(draw: st.DrawFn, document: Any) -> Any:
    """A document with something else at some places."""
    if draw(st.integers(0, 9)) == 0:
        return draw(values)
    if isinstance(document, dict) and document:
        name = draw(st.sampled_from(sorted(document)))
        return {**document, name: draw(damaged(document[name]))}
    if isinstance(document, list) and document:
        place = draw(st.integers(0, len(document) - 1))
        return [*document[:place], draw(damaged(document[place])), *document[place + 1 :]]
    return draw(values)


@settings(max_examples=EXAMPLES, deadline=None)
@given(damaged(HOME))
def test_any_describe_is_read_or_refused(document: Any) -> None:
    with TemporaryDirectory() as folder:
        written(Path(folder), Home__c_describe=document)
        try:
            schema = load_describes(Path(folder))
        except ValueError as error:
            assert "Home__c_describe.json" in str(error)  # noqa: PT017
            return
    assert len(made(schema)) == 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    damaged(
        {
            "records": [
                account("a", AnnualRevenue=1.5, Contacts={"records": [contact("c", "a")]}),
                account("b", ParentId="@a", NumberOfEmployees=5),
            ]
        }
    )
)
def test_any_records_are_read_or_refused(document: Any) -> None:
    with TemporaryDirectory() as folder:
        written(Path(folder), Account=document)
        try:
            loaded(Path(folder), _SCHEMA)
        except ValueError as error:
            assert "Account.json" in str(error)  # noqa: PT017


_SCHEMA = standard_schema()
