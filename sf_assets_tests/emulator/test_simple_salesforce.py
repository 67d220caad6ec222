"""A client that knows nothing of this org: simple-salesforce, unmodified.

It only speaks https, so its HTTP session is given an adapter that goes to the org by http.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)
from simple_salesforce.login import SalesforceLogin

from sf_assets.emulator.server import Emulator


class ToLoopback(HTTPAdapter):
    """Sends every request to one org, by http."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *more: Any, **named: Any) -> Any:
        assert request.url is not None
        path = request.url.split("/", 3)[3]
        request.url = f"{self._url}/{path}"
        return super().send(request, *more, **named)


@pytest.fixture
def session(emulator: Emulator) -> Iterator[requests.Session]:
    with requests.Session() as plain:
        plain.mount("https://", ToLoopback(emulator.url))
        yield plain


@pytest.fixture
def sf(emulator: Emulator, session: requests.Session) -> Any:
    credentials = emulator.settings.credentials
    return Salesforce(
        username=credentials.username,
        password=credentials.password,
        security_token=credentials.security_token,
        session=session,
        version="60.0",
    )


def errors(refused: "pytest.ExceptionInfo[Any]") -> Any:
    """The body that came with an exception."""
    return refused.value.content


def test_soap_login(sf: Any, emulator: Emulator) -> None:
    assert sf.session_id.startswith(f"{emulator.org.id[:15]}!")
    assert sf.sf_instance == emulator.url.removeprefix("http://")


def test_soap_login_with_a_wrong_password(emulator: Emulator, session: requests.Session) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as refused:
        SalesforceLogin(
            username=emulator.settings.credentials.username,
            password="wrong",
            security_token="wrong",
            session=session,
        )
    assert refused.value.code == "INVALID_LOGIN"
    assert "Invalid username, password, security token" in str(refused.value)


def test_client_credentials(emulator: Emulator, session: requests.Session) -> None:
    credentials = emulator.settings.credentials
    sf: Any = Salesforce(
        consumer_key=credentials.client_id,
        consumer_secret=credentials.client_secret,
        domain="my",
        session=session,
    )
    assert sf.query("SELECT COUNT() FROM Account")["done"] is True


def test_password_flow(emulator: Emulator, session: requests.Session) -> None:
    credentials = emulator.settings.credentials
    sf: Any = Salesforce(
        username=credentials.username,
        password=credentials.password + credentials.security_token,
        consumer_key=credentials.client_id,
        consumer_secret=credentials.client_secret,
        session=session,
    )
    assert sf.limits()["DailyApiRequests"]["Max"] == 100_000


def test_jwt_bearer(emulator: Emulator, session: requests.Session) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    sf: Any = Salesforce(
        username=emulator.settings.credentials.username,
        consumer_key=emulator.settings.credentials.client_id,
        privatekey=pem.decode(),
        session=session,
    )
    assert sf.describe()["encoding"] == "UTF-8"


def test_records(sf: Any) -> None:
    created = sf.Account.create({"Name": "Ringed", "AnnualRevenue": 912260031})
    assert created["success"] is True
    key = created["id"]
    assert sf.Account.get(key)["AnnualRevenue"] == 912260031.0
    assert sf.Account.update(key, {"Name": "Renamed"}) == 204
    assert sf.query(f"SELECT Name FROM Account WHERE Id = '{key}'")["records"][0]["Name"] == (
        "Renamed"
    )
    assert sf.Showcase__c.upsert("External_Key__c/k-1", {"Required_Text__c": "a"}) == 201
    assert sf.Showcase__c.upsert("External_Key__c/k-1", {"Required_Text__c": "b"}) == 200
    assert sf.Showcase__c.get_by_custom_id("External_Key__c", "k-1")["Required_Text__c"] == "b"
    assert sf.Account.delete(key) == 204
    with pytest.raises(SalesforceResourceNotFound) as gone:
        sf.Account.get(key)
    assert errors(gone)[0]["errorCode"] == "ENTITY_IS_DELETED"
    deleted = sf.query(f"SELECT IsDeleted FROM Account WHERE Id = '{key}'", include_deleted=True)
    assert deleted["records"][0]["IsDeleted"] is True


def test_refusals(sf: Any) -> None:
    with pytest.raises(SalesforceMalformedRequest) as missing:
        sf.Contact.create({"FirstName": "Nobody"})
    assert errors(missing)[0]["fields"] == ["LastName"]
    with pytest.raises(SalesforceMalformedRequest) as unknown:
        sf.query("SELECT Nothing FROM Account")
    assert errors(unknown)[0]["errorCode"] == "INVALID_FIELD"


def test_it_logs_in_again_when_its_session_is_over(sf: Any, emulator: Emulator) -> None:
    before = sf.session_id
    emulator.org.sessions.revoke_all()
    assert "DailyApiRequests" in sf.limits()
    assert sf.session_id != before


def test_queries_page_by_page(sf: Any, emulator: Emulator) -> None:
    records = emulator.org.records
    rows = [{"Name": f"Paged {n:04d}"} for n in range(450)]
    records.run(lambda t: t.insert("Account", rows))
    soql = "SELECT Id, Name FROM Account WHERE Name LIKE 'Paged %'"
    first = sf.query(soql, headers={"Sforce-Query-Options": "batchSize=200"})
    assert (first["totalSize"], first["done"], len(first["records"])) == (450, False, 200)
    second = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    again = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    assert second == again
    names = {r["Name"] for r in sf.query_all(soql)["records"]}
    assert names == {row["Name"] for row in rows}


def test_describe(sf: Any) -> None:
    names = {o["name"] for o in sf.describe()["sobjects"]}
    assert {"Account", "Showcase__c", "Task"} <= names
    fields = sf.Account.describe()["fields"]
    assert all(len(field) == 57 for field in fields)
    assert sf.Account.metadata()["objectDescribe"]["keyPrefix"] == "001"


def test_definitions_of_objects_and_fields(sf: Any, emulator: Emulator) -> None:
    emulator.org.admin.classify_field("Contact", "Email", "GDPR;PII", "Restricted")
    told = sf.query(
        "SELECT QualifiedApiName, ComplianceGroup, EntityDefinition.Label FROM FieldDefinition "
        "WHERE EntityDefinition.QualifiedApiName = 'Contact' AND SecurityClassification != null"
    )
    assert told["totalSize"] == 1
    (field,) = told["records"]
    assert (field["QualifiedApiName"], field["ComplianceGroup"]) == ("Email", "GDPR;PII")
    assert field["EntityDefinition"]["Label"] == "Contact"
    every = sf.query(
        "SELECT QualifiedApiName FROM FieldDefinition WHERE EntityDefinitionId IN ('Contact') "
        "ORDER BY QualifiedApiName DESC LIMIT 2"
    )
    assert len(every["records"]) == 2
    names = sf.query("SELECT QualifiedApiName FROM EntityDefinition WHERE KeyPrefix = '003'")
    assert [row["QualifiedApiName"] for row in names["records"]] == ["Contact"]
    with pytest.raises(SalesforceMalformedRequest, match="a filter on a reified column"):
        sf.query("SELECT QualifiedApiName FROM FieldDefinition")
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD"):
        sf.query("SELECT Nope FROM FieldDefinition WHERE EntityDefinitionId = 'Contact'")
    assert not {"EntityDefinition", "FieldDefinition"} & {
        o["name"] for o in sf.describe()["sobjects"]
    }


def test_updated_and_deleted(sf: Any, emulator: Emulator) -> None:
    now = emulator.clock.now().replace(second=0)
    start = now.replace(minute=0)
    emulator.advance(60)
    key = sf.Lead.create({"LastName": "Gone", "Company": "Soon"})["id"]
    sf.Lead.delete(key)
    emulator.advance(120)
    end = emulator.clock.now()
    found = sf.Lead.deleted(start, end)
    assert [row["id"] for row in found["deletedRecords"]] == [key]
    assert sf.Lead.updated(start, end)["ids"] == []


def test_collections(sf: Any) -> None:
    rows = [{"Name": "One"}, {"Nam": "Two"}]
    records = [{"attributes": {"type": "Account"}, **row} for row in rows]
    body = {"allOrNone": False, "records": records}
    answer = sf.restful("composite/sobjects", method="POST", json=body)
    assert [row["success"] for row in answer] == [True, False]
    assert answer[1]["errors"][0]["statusCode"] == "INVALID_FIELD"


def test_bulk_query(sf: Any, emulator: Emulator, tmp_path: Path) -> None:
    rows = [{"LastName": 'Bulk "\n' + str(n), "Company": "é\u2028"} for n in range(2500)]
    emulator.org.records.run(lambda t: t.insert("Lead", rows))
    soql = "SELECT Id, LastName, Company FROM Lead WHERE LastName LIKE 'Bulk%'"
    pages = list(sf.bulk2.Lead.query(soql, max_records=1000, wait=0.05))
    assert len(pages) == 3
    read = [row for page in pages for row in csv.reader(io.StringIO(page, newline=""))]
    values = {tuple(row[1:]) for row in read if row[0] != "Id"}
    assert len(values) == 2500
    files = sf.bulk2.Lead.download(soql, path=str(tmp_path), max_records=2000, wait=0.05)
    assert [f["number_of_records"] for f in files] == [2000, 500]
    on_disk = b"".join(Path(f["file"]).read_bytes() for f in files)
    assert on_disk.count(b"\xe2\x80\xa8") == 2500
