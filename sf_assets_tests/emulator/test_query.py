"""Queries over REST: documents, pages, options."""

import json
import re
from typing import Any

import requests

from sf_assets.emulator.server import Emulator
from sf_assets_tests.emulator.conftest import Api


def document(api: Api, soql: str, resource: str = "query", **headers: str) -> Any:
    return api("GET", f"/{resource}/", params={"q": soql}, headers=headers).json()


def test_the_order_of_keys_and_the_locator(demo_api: Api) -> None:
    options = {"Sforce-Query-Options": "BATCHSIZE = 200"}
    first = document(demo_api, "SELECT Id FROM OpportunityHistory", **options)
    assert list(first) == ["totalSize", "done", "nextRecordsUrl", "records"]
    assert re.fullmatch(r"/services/data/v66\.0/query/01g\w{15}-200", first["nextRecordsUrl"])
    assert len(first["records"]) == 200
    assert (
        first["totalSize"]
        == document(demo_api, "SELECT COUNT() FROM OpportunityHistory")["totalSize"]
    )


def test_all_pages_once_each_in_no_cursor_order(demo_api: Api) -> None:
    soql = "SELECT Id, CreatedDate FROM OpportunityHistory"
    seen = []
    page = document(demo_api, soql, "queryAll", **{"Sforce-Query-Options": "batchSize=250"})
    while True:
        seen += page["records"]
        if page["done"]:
            assert "nextRecordsUrl" not in page
            break
        path = page["nextRecordsUrl"].removeprefix("/services/data/v66.0")
        assert demo_api("GET", path).content == demo_api("GET", path).content
        page = demo_api("GET", path).json()
    ids = [record["Id"] for record in seen]
    stored = demo_api.emulator.store.table("OpportunityHistory").read_all()
    assert sorted(ids) == sorted(stored.column("Id").to_pylist())
    assert ids != sorted(ids)
    stamps = [record["CreatedDate"] for record in seen]
    assert stamps != sorted(stamps)


def test_a_result_is_a_snapshot(api: Api) -> None:
    records = api.emulator.org.records
    rows = [{"Name": f"Snap {n}"} for n in range(300)]
    records.run(lambda t: t.insert("Campaign", rows))
    soql = "SELECT Name FROM Campaign WHERE Name LIKE 'Snap%'"
    page = document(api, soql, **{"Sforce-Query-Options": "batchSize=200"})
    records.run(lambda t: t.insert("Campaign", rows))
    path = page["nextRecordsUrl"].removeprefix("/services/data/v66.0")
    rest = api("GET", path).json()
    assert page["totalSize"] == rest["totalSize"] == 300
    assert len(rest["records"]) == 100
    assert len({r["Name"] for r in page["records"] + rest["records"]}) == 300


def test_bad_locators(api: Api) -> None:
    for locator in ("01g000000000000AAA-2000", "01g", "nothing-2000"):
        answer = api("GET", f"/query/{locator}")
        assert answer.status_code == 400
        assert answer.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_many_children_get_a_link(api: Api) -> None:
    records = api.emulator.org.records
    account = records.insert("Account", {"Name": "Crowded"})
    rows = [{"LastName": f"Child {n:03d}", "AccountId": account} for n in range(450)]
    records.run(lambda t: t.insert("Contact", rows))
    soql = (
        "SELECT Id, (SELECT LastName FROM Contacts ORDER BY LastName) FROM Account"
        " WHERE Name = 'Crowded'"
    )
    page = document(api, soql, **{"Sforce-Query-Options": "batchSize=200"})
    children = page["records"][0]["Contacts"]
    assert (children["totalSize"], children["done"], len(children["records"])) == (450, False, 200)
    names = [child["LastName"] for child in children["records"]]
    while not children["done"]:
        path = children["nextRecordsUrl"].removeprefix("/services/data/v66.0")
        children = api("GET", path).json()
        names += [child["LastName"] for child in children["records"]]
    assert names == [row["LastName"] for row in rows]


def test_aggregates_have_one_page_only(demo_api: Api) -> None:
    soql = "SELECT Id, COUNT(SystemModstamp) FROM OpportunityHistory GROUP BY Id"
    answer = demo_api(
        "GET", "/query", params={"q": soql}, headers={"Sforce-Query-Options": "batchSize=200"}
    )
    assert answer.json()[0]["errorCode"] == "EXCEEDED_ID_LIMIT"


def test_numbers_keep_their_java_form(api: Api) -> None:
    api.create("Account", Name="Rich", AnnualRevenue=912260031, NumberOfEmployees=7)
    answer = api(
        "GET",
        "/query",
        params={"q": "SELECT AnnualRevenue, NumberOfEmployees FROM Account WHERE Name = 'Rich'"},
    )
    assert '"AnnualRevenue":9.12260031E8,"NumberOfEmployees":7}' in answer.text


def test_pretty_print_changes_blanks_only(demo_api: Api) -> None:
    soql = {"q": "SELECT Id, Name, AnnualRevenue, BillingAddress, (SELECT Id FROM Contacts) FROM"
                 " Account ORDER BY Id LIMIT 30"}  # fmt: skip
    plain = demo_api("GET", "/query", params=soql)
    pretty = demo_api("GET", "/query", params=soql, headers={"X-PrettyPrint": "1"})
    assert pretty.text.startswith('{\n  "totalSize" : 30,\n  "done" : true,\n  "records" : [\n')
    assert pretty.json() == plain.json()
    numbers = re.compile(r"\d\.\d+(?:E\d+)?\b")
    assert numbers.findall(pretty.text) == numbers.findall(plain.text)


def test_gzip_only_when_asked(demo_api: Api) -> None:
    params = {"q": "SELECT Id FROM Account"}
    zipped = demo_api("GET", "/query", params=params, headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    plain = demo_api("GET", "/query", params=params, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == zipped.content


def test_columns(demo_api: Api) -> None:
    soql = "SELECT Id, Owner.Name, AnnualRevenue, (SELECT LastName FROM Contacts) FROM Account"
    found = demo_api("GET", "/query", params={"q": soql, "columns": "true"}).json()
    assert (found["entityName"], found["keyPrefix"], found["idSelected"]) == (
        "Account",
        "001",
        True,
    )
    key, owner, revenue, contacts = found["columnMetadata"]
    assert (key["columnName"], key["apexType"]) == ("Id", "Id")
    assert [c["columnName"] for c in owner["joinColumns"]] == ["Name"]
    assert (revenue["numberType"], revenue["textType"]) == (True, False)
    assert (contacts["aggregate"], contacts["joinColumns"][0]["columnName"]) == (True, "LastName")
    assert set(key) == {
        "aggregate", "apexType", "booleanType", "columnName", "custom", "displayName",
        "foreignKeyName", "insertable", "joinColumns", "numberType", "textType", "updatable",
    }  # fmt: skip


def test_explain(demo_api: Api) -> None:
    soql = "SELECT Id FROM Account"
    found = demo_api("GET", "/query", params={"explain": soql}).json()
    assert found["plans"][0]["sobjectType"] == "Account"
    assert found["sourceQuery"] == soql


def test_long_addresses_are_refused(api: Api) -> None:
    long = api("GET", "/query", params={"q": "SELECT Id FROM Account WHERE Name='" + "x" * 17_000})
    assert long.status_code == 414
    wide = api("GET", "/limits", headers={"X-Filler": "y" * 17_000})
    assert wide.status_code == 431


def test_every_stored_value_comes_out_as_it_went_in(demo: Emulator, demo_api: Api) -> None:
    """REST against the raw tables, which share nothing with the way JSON is written."""
    for sobject in demo.org.schema:
        stored = [f for f in sobject.fields.values() if f.stored and f.type != "base64"]
        rows = {r["Id"]: r for r in demo.store.table(sobject.name).read_all().to_pylist()}
        names = [f.name for f in stored]
        records = demo_api.query(f"SELECT {', '.join(names)} FROM {sobject.name}", "queryAll")
        assert {r["Id"] for r in records} == set(rows)
        for record in records:
            row = rows[str(record["Id"])]
            for field in stored:
                assert record[field.name] == expected(field.type, row[field.name]), field.name


def expected(kind: str, value: Any) -> Any:
    """The JSON value of a stored one."""
    if value is None:
        return None
    if kind == "datetime":
        return f"{value:%Y-%m-%dT%H:%M:%S}.000+0000"
    if kind == "date":
        return value.isoformat()
    if kind == "time":
        return f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return value


def test_awkward_text_survives(api: Api) -> None:
    text = '"quoted", \\ back\\slash\r\n\ttab \u2028 \x01 \U0001f600 é \u202eright </script>'
    key = api.create("Account", Name="Awkward", Description=text)
    record = api("GET", f"/sobjects/Account/{key}").json()
    assert record["Description"] == text


def test_half_characters_become_question_marks(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"Name": "half \\ud800 whole \\ud83d\\ude00"}'
    key = api("POST", "/sobjects/Account", data=body, headers=headers).json()["id"]
    record = api("GET", f"/sobjects/Account/{key}").json()
    assert record["Name"] == "half ? whole \U0001f600"


def test_unfinished_request_bodies_do_no_harm(api: Api) -> None:
    answer = api(
        "POST", "/sobjects/Account", data=b"{", headers={"Content-Type": "application/json"}
    )
    assert answer.json()[0]["errorCode"] == "JSON_PARSER_ERROR"
    form = requests.post(
        f"{api.base}/sobjects/Account",
        data={"Name": "x"},
        headers={"Authorization": str(api.http.headers["Authorization"])},
        timeout=10,
    )
    assert form.status_code == 415
    assert json.loads(form.text)[0]["errorCode"] == "UNSUPPORTED_MEDIA_TYPE"


def test_roles_and_profiles_of_owners_that_may_be_queues(demo_api: Api) -> None:
    users = {u["Id"]: u for u in demo_api.query("SELECT Id, UserRole.Name, Profile.Name FROM User")}
    soql = (
        "SELECT OwnerId, Owner.UserRole.Name, Owner.Profile.Name FROM Lead WHERE Owner.Profile.Name"
    )
    found = demo_api.query(f"{soql} != null")
    assert found
    for lead in found:
        owner: Any = lead["Owner"]
        user: Any = users[lead["OwnerId"]]
        for parent in ("UserRole", "Profile"):
            ours, theirs = owner[parent] or {}, user[parent] or {}
            assert ours.get("Name") == theirs.get("Name")
