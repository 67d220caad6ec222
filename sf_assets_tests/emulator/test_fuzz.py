"""Whatever is asked: an answer in time, in the shape of its kind, and never the server's own fault.

Bounded to some seconds in the suite; `SF_ASSETS_FUZZ_EXAMPLES=20000` looks longer.
"""

import base64
import json
import os
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api

EXAMPLES = int(os.environ.get("SF_ASSETS_FUZZ_EXAMPLES", "200"))
# A machine that is shared may be slow; what hangs is not back in two minutes either.
SECONDS = 120
pytestmark = pytest.mark.timeout(300 if EXAMPLES <= 200 else 0)
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
fewer = settings(bounded, max_examples=max(EXAMPLES // 4, 1))

# ---- pieces that mean something to the org, beside anything at all

OBJECTS = ["Account", "Contact", "Opportunity", "Showcase__c", "User", "CaseHistory", "Nope"]
FIELDS = [
    "Id", "Name", "OwnerId", "Owner.Name", "IsDeleted", "SystemModstamp", "CreatedDate",
    "AnnualRevenue", "NumberOfEmployees", "BillingAddress", "BillingLatitude", "Rating",
    "Description", "LastName", "Email", "Birthdate", "Amount", "StageName", "External_Key__c",
    "attributes", "Contacts", "Parent.Parent.Name", "What.Name", "Nope",
]  # fmt: skip
IDS = ["001000000000001AAA", "001000000000001", "003Hs0000000001AAA", "x", "01g000000000000AAA-0"]
LITERALS = [
    "'x'", "''", "'a\\'b'", "null", "true", "1", "-1.5", "1e400", "99999999999999999999",
    "2026-01-31", "2026-01-31T10:00:00Z", "0001-01-01", "9999-12-31T23:59:59Z", "TODAY",
    "LAST_N_DAYS:3", "LAST_N_DAYS:999999999", "NEXT_N_YEARS:99999", "N_MONTHS_AGO:4294967296",
    "THIS_FISCAL_QUARTER", "10:00:00Z", "'001000000000001AAA'", "'\\u0000'", "USD5000",
]  # fmt: skip
WORDS = [
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "NOT IN", "LIKE", "INCLUDES", "GROUP BY",
    "HAVING", "ORDER BY", "DESC", "NULLS LAST", "LIMIT", "OFFSET", "ALL ROWS", "FOR VIEW", "(",
    ")", ",", "=", "!=", "<", ">=", "COUNT()", "COUNT(Id)", "MAX(Name)", "SUM(Amount)",
    "FIELDS(ALL)",
    "toLabel(Rating)", "FORMAT(Amount)", "CALENDAR_YEAR(CreatedDate)", "DAY_ONLY(CreatedDate)",
    "TYPEOF What WHEN Account THEN Name END", "WITH SECURITY_ENFORCED", "*", ";", "--",
]  # fmt: skip

anything = st.text(st.characters(exclude_categories=[]), max_size=12)
names = st.sampled_from([*OBJECTS, *FIELDS]) | anything
fields = st.sampled_from(FIELDS)
literals = st.sampled_from(LITERALS) | st.builds(repr, st.floats()) | st.builds(str, st.integers())
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "NOT IN", "INCLUDES"])


@st.composite
def queries(draw: st.DrawFn) -> str:
    """SOQL that is nearly right."""
    calls = ["COUNT(Id) n", "MAX(CreatedDate)", "toLabel(Rating)", "FIELDS(STANDARD)", "COUNT()"]
    inner = ["(SELECT Id, Name FROM Contacts LIMIT 1)", "(SELECT Id FROM Nope)"]
    select = draw(st.lists(fields | st.sampled_from([*calls, *inner]), min_size=1, max_size=4))
    text = f"SELECT {', '.join(select)} FROM {draw(st.sampled_from(OBJECTS))}"
    conditions = draw(st.lists(st.tuples(fields, operators, literals), max_size=3))
    if conditions:
        word = draw(st.sampled_from([" AND ", " OR ", " AND NOT "]))
        spelt = (f"{f} {o} {f'({v})' if 'IN' in o else v}" for f, o, v in conditions)
        text += " WHERE " + word.join(spelt)
    clauses = [
        f"GROUP BY {draw(fields)}",
        f"HAVING COUNT(Id) > {draw(literals)}",
        f"ORDER BY {draw(fields)} DESC NULLS LAST",
        f"LIMIT {draw(st.integers(-1, 10**12))}",
        f"OFFSET {draw(st.integers(0, 10**12))}",
    ]
    return text + "".join(f" {clause}" for clause in clauses if draw(st.integers(0, 3)) == 0)


soup = st.lists(st.sampled_from([*WORDS, *OBJECTS, *FIELDS, *LITERALS]), max_size=15).map(" ".join)
soql = queries() | soup | anything
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | anything | st.sampled_from(IDS)
    | st.sampled_from(LITERALS) | st.sampled_from(OBJECTS)
)  # fmt: skip
keys = st.sampled_from([
    *FIELDS, "records", "allOrNone", "attributes", "type", "referenceId", "ids", "fields", "method",
    "url", "body", "httpHeaders", "richInput", "haltOnError", "operation", "query", "state",
    "columnDelimiter", "lineEnding", "contentType", "id", "Contacts",
]) | anything  # fmt: skip
documents = st.recursive(
    scalars, lambda d: st.lists(d, max_size=3) | st.dictionaries(keys, d, max_size=4), max_leaves=8
)
rows = st.dictionaries(fields | keys, scalars, max_size=4)
typed_rows = st.builds(
    lambda row, name, ref: {"attributes": {"type": name, "referenceId": ref}, **row},
    rows, st.sampled_from(OBJECTS) | scalars, scalars,
)  # fmt: skip
resources = st.sampled_from([
    "", "/query", "/queryAll", "/query/01g000000000001AAA-2000", "/limits", "/limits/recordCount",
    "/sobjects", "/sobjects/{o}", "/sobjects/{o}/describe", "/sobjects/{o}/{i}",
    "/sobjects/{o}/{f}/{a}", "/sobjects/{o}/{i}/{f}", "/sobjects/{o}/updated",
    "/sobjects/{o}/deleted", "/sobjects/Attachment/{i}/Body", "/jobs/query", "/jobs/ingest",
    "/jobs/query/{i}", "/jobs/query/{i}/results", "/jobs/query/{i}/resultPages", "/composite",
    "/composite/batch", "/composite/tree/{o}", "/composite/sobjects", "/composite/sobjects/{o}",
    "/composite/sobjects/{o}/{f}", "/{a}",
])  # fmt: skip
methods = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE"])
parameters = st.dictionaries(
    st.sampled_from(["q", "explain", "columns", "fields", "ids", "sObjects", "start", "end",
                     "locator", "maxRecords", "queryLocator", "allOrNone", "_HttpMethod",
                     "jobType", "isPkChunkingEnabled"]),
    soql | literals | st.sampled_from(["true", "Id,Name", "PATCH", *LITERALS, *IDS]),
    max_size=3,
)  # fmt: skip
header_values = st.sampled_from(["", "0", "gzip", "gzip;q=x", "batchSize=200", "application/json",
                                 "text/plain", "application/json; charset=no-such", "1", "é",
                                 "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 99 Jan 99999"])  # fmt: skip
headers = st.dictionaries(
    st.sampled_from(["Content-Type", "Accept", "Accept-Encoding", "Sforce-Query-Options",
                     "If-Modified-Since", "If-Unmodified-Since", "X-PrettyPrint", "Range",
                     "Content-Encoding", "Sforce-Call-Options"]),
    header_values, max_size=2,
)  # fmt: skip


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """The path and the parameters of a resource."""
    objects = st.sampled_from(OBJECTS) | anything
    ids = st.sampled_from(IDS) | anything
    parts = {"o": draw(objects), "f": draw(names), "i": draw(ids), "a": draw(anything | literals)}
    spelt = {name: quote(_utf8(part), safe="") for name, part in parts.items()}
    asked = {name: _utf8(value) for name, value in draw(parameters).items()}
    return draw(resources).format(**spelt) + (f"?{urlencode(asked)}" if asked else "")


@st.composite
def bodies(draw: st.DrawFn) -> Any:
    """A body that is nearly what some resource takes."""
    part = st.fixed_dictionaries(
        {"method": methods, "url": addresses().map(lambda a: f"/services/data/v66.0{a}"),
         "referenceId": st.sampled_from(["a", "b", "c", "", 1])},
        optional={"body": documents, "httpHeaders": documents, "richInput": documents},
    )  # fmt: skip
    job = st.fixed_dictionaries(
        {"operation": st.sampled_from(["query", "queryAll", "insert", 1]), "query": soql},
        optional={"columnDelimiter": scalars, "lineEnding": scalars, "contentType": scalars},
    )
    flag = st.booleans() | scalars
    return draw(
        st.one_of(
            documents,
            rows,
            job,
            st.fixed_dictionaries({"records": st.lists(typed_rows, max_size=3)}),
            st.fixed_dictionaries({"allOrNone": flag, "records": st.lists(typed_rows, max_size=3)}),
            st.fixed_dictionaries({"ids": st.lists(scalars), "fields": st.lists(names)}),
            st.fixed_dictionaries(
                {"allOrNone": flag, "compositeRequest": st.lists(part, max_size=3)}
            ),
            st.fixed_dictionaries(
                {"haltOnError": flag, "batchRequests": st.lists(part, max_size=3)}
            ),
        )
    )


def _utf8(text: str) -> str:
    """A text as an address can carry it."""
    return text.encode("utf-8", "replace").decode()


@pytest.fixture(scope="module")
def emulator(schema: Schema) -> Iterator[Emulator]:
    """An org with a few records, whose limits nobody reaches."""
    behaviour = Settings(job_seconds=0, daily_api_requests=10**9, daily_query_jobs=10**9)
    with Emulator(schema=schema, settings=behaviour) as running:
        accounts = [{"Name": f"Account {n}", "AnnualRevenue": n * 1e6} for n in range(30)]
        made = running.records.run(lambda t: t.insert("Account", accounts))
        contacts = [{"LastName": "x" * n, "AccountId": made[n].id} for n in range(1, 20)]
        running.records.run(lambda t: t.insert("Contact", contacts))
        yield running


def checked(api: Api, method: str, address: str, **more: Any) -> requests.Response:
    """The answer to a request, which is one that an org gives."""
    address = address if address.startswith("http") else api.base + address
    answer = api.http.request(method, address, timeout=SECONDS, allow_redirects=False, **more)
    assert answer.status_code < 500, (method, address, more, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        document = answer.json()
        is_tree = isinstance(document, dict) and document.get("hasErrors") is True
        assert is_tree or {"errorCode", "message"} <= set(document[0])
    elif answer.headers.get("Content-Type", "").startswith("application/json") and answer.content:
        text = answer.content.decode()
        assert "Infinity" not in text or json.loads(text, parse_constant=pytest.fail)
        answer.json()
    return answer


@bounded
@given(methods, addresses(), bodies() | st.none(), headers)
def test_any_request(api: Api, method: str, address: str, body: Any, more: dict[str, str]) -> None:
    sent = {"Content-Type": "application/json", **more}
    data = None if body is None else json.dumps(body).encode()
    answer = checked(
        api, method, address, data=data, headers={n: v.encode() for n, v in sent.items()}
    )
    if answer.status_code == 200 and '"errorCode":"UNKNOWN_EXCEPTION"' in answer.text:
        pytest.fail(f"{method} {address} {body}: {answer.text}")


@bounded
@given(soql, st.booleans())
def test_any_query(api: Api, text: str, more: bool) -> None:
    checked(api, "GET", "/queryAll" if more else "/query", params={"q": _utf8(text)})
    body = json.dumps({"operation": "query", "query": text}).encode()
    job = checked(
        api, "POST", "/jobs/query", data=body, headers={"Content-Type": "application/json"}
    )
    if job.ok:
        path = f"/jobs/query/{job.json()['id']}"
        while (state := api("GET", path).json()["state"]) in ("UploadComplete", "InProgress"):
            pass
        assert state == "JobComplete", text
        assert api("DELETE", path).status_code == 204


SCHEMA = standard_schema()
VALUES = {
    "boolean": st.booleans() | st.sampled_from(["true", "0", 2]),
    "date": st.dates().map(str) | st.sampled_from(["4001-01-01", "1699-12-31", "2026-02-30"]),
    "datetime": st.datetimes().map(lambda d: f"{d.isoformat()}Z") | st.sampled_from(LITERALS),
    "time": st.times().map(lambda t: f"{t.isoformat()}Z"),
    "base64": st.binary(max_size=8).map(lambda b: base64.b64encode(b).decode()),
    "reference": st.sampled_from(IDS),
    "id": st.sampled_from(IDS),
    **dict.fromkeys(("int", "long"), st.integers() | st.floats()),
    **dict.fromkeys(("double", "currency", "percent"), st.floats() | st.integers()),
}


@st.composite
def records(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An object and a record that is nearly one of its own."""
    name = draw(st.sampled_from(["Account", "Contact", "Opportunity", "Showcase__c", "Task"]))
    sobject = SCHEMA.get(name)
    assert sobject is not None
    own = [f for f in sobject.fields.values() if f.document["createable"]]
    needed = [f for f in own if not (f.document["nillable"] or f.document["defaultedOnCreate"])]
    right = {
        "Name": "x", "LastName": "x", "StageName": "Prospecting", "CloseDate": "2026-01-31",
        "Required_Text__c": "x", "Subject": "Call", "Status": "Completed", "Priority": "Normal",
    }  # fmt: skip
    row: dict[str, Any] = {f.name: right[f.name] for f in needed if f.name in right}
    for field in draw(st.lists(st.sampled_from(own), max_size=4)):
        texts = anything | st.sampled_from(field.picklist or ("x",))
        row[field.name] = draw(VALUES.get(field.type, texts) | st.none() | documents)
    return name, row


@fewer
@given(records() | st.tuples(st.sampled_from(OBJECTS), rows))
def test_any_record(api: Api, record: tuple[str, dict[str, Any]]) -> None:
    name, row = record
    body = json.dumps(row).encode()
    json_type = {"Content-Type": "application/json"}
    answer = checked(api, "POST", f"/sobjects/{name}", data=body, headers=json_type)
    if answer.status_code == 201:
        path = f"/sobjects/{name}/{answer.json()['id']}"
        assert checked(api, "GET", path).status_code == 200
        changed = checked(api, "PATCH", path, data=body, headers=json_type)
        assert changed.status_code in (204, 400)
        assert checked(api, "DELETE", path).status_code in (204, 400)
    tree = {"records": [{"attributes": {"type": name, "referenceId": "a"}, **row}]}
    checked(api, "POST", f"/composite/tree/{name}", json=None, headers=json_type,
            data=json.dumps(tree).encode())  # fmt: skip
    checked(api, "POST", "/composite/sobjects", headers=json_type, data=json.dumps(tree).encode())


@fewer
@given(st.binary(max_size=40) | documents.map(lambda d: json.dumps(d).encode()), headers)
def test_any_bytes(api: Api, body: bytes, more: dict[str, str]) -> None:
    sent = {name: value.encode() for name, value in more.items()}
    root = api.emulator.url
    for path in ("/services/oauth2/token", "/services/oauth2/revoke", "/services/oauth2/userinfo"):
        answer = api.http.post(root + path, body, headers=sent, timeout=SECONDS)
        assert answer.status_code < 500, (path, body, answer.text)
    soap = api.http.post(f"{root}/services/Soap/u/60.0", body, headers=sent, timeout=SECONDS)
    assert "UNKNOWN_EXCEPTION" not in soap.text
    checked(api, "POST", "/composite", data=body, headers=sent)
    checked(api, "GET", f"{root}/{quote(body)}")


def test_nothing_was_left_hanging(emulator: Emulator) -> None:
    assert requests.get(f"{emulator.url}/services/data", timeout=5).ok
    assert [t.name for t in threading.enumerate()].count("emulator") >= 1
