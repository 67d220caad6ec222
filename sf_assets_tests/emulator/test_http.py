"""What HTTP lets a client say: encodings, conditions, methods, versions, and nonsense."""

import base64
import gzip
import json
import os
import socket
import zlib
from typing import Any

import pytest
import requests

from sf_assets.emulator.server import Emulator
from sf_assets_tests.emulator.conftest import Api

BOMB = gzip.compress(bytes(60 << 20), mtime=0)


def zipped(kind: str, body: bytes) -> bytes:
    if kind == "raw deflate":
        raw = zlib.compressobj(9, zlib.DEFLATED, -15)
        return raw.compress(body) + raw.flush()
    return gzip.compress(body) if kind == "gzip" else zlib.compress(body)


@pytest.mark.parametrize("kind", ["gzip", "deflate", "raw deflate"])
def test_a_compressed_body_is_unpacked(api: Api, kind: str) -> None:
    body = zipped(kind, json.dumps({"Name": f"In {kind}"}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": kind.rsplit(maxsplit=1)[-1]}
    answer = api("POST", "/sobjects/Account", data=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert len(api.query(f"SELECT Id FROM Account WHERE Name = 'In {kind}'")) == 1


def test_a_form_may_be_compressed_too(emulator: Emulator) -> None:
    form = b"grant_type=client_credentials&client_id=emulator-client-id"
    form += b"&client_secret=emulator-client-secret"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    url = f"{emulator.url}/services/oauth2/token"
    assert requests.post(url, gzip.compress(form), headers=headers, timeout=10).ok


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", b"{}", 400),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-9], 400),
        ("deflate", b"{}", 400),
        ("br", b"{}", 415),
        ("gzip, gzip", b"{}", 415),
        ("gzip", BOMB, 413),
    ],
    ids=["no gzip", "cut short", "no deflate", "unknown", "twice", "bomb"],
)
def test_a_body_that_is_not_what_it_says_or_too_large(
    api: Api, encoding: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = api("POST", "/sobjects/Account", data=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()[0]["errorCode"]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate, gzip;q=0.5", "gzip"),
        ("GZIP", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.000, *", None),
        ("*;q=0", None),
        ("identity", None),
        ("gzipped", None),
    ],
)
def test_an_answer_is_compressed_for_those_who_accept_it(
    api: Api, accepted: str, encoding: str | None
) -> None:
    answer = api("GET", "/limits", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    assert "DailyApiRequests" in answer.json()


@pytest.fixture(scope="module")
def record(api: Api) -> tuple[str, str, str]:
    """Id of a record, its Last-Modified, and a day before that."""
    key = api.create("Contact", LastName="Conditional")
    modified = api("GET", f"/sobjects/Contact/{key}").headers["Last-Modified"]
    return key, modified, "Mon, 01 Jan 2024 00:00:00 GMT"


def test_a_record_that_the_client_has_already(api: Api, record: tuple[str, str, str]) -> None:
    key, modified, before = record
    path = f"/sobjects/Contact/{key}"
    same = api("GET", path, headers={"If-Modified-Since": modified})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["Last-Modified"] == modified
    for since in (before, "no date", ""):
        assert api("GET", path, headers={"If-Modified-Since": since}).status_code == 200


def test_a_record_that_was_changed_in_between(api: Api, record: tuple[str, str, str]) -> None:
    key, modified, before = record
    path = f"/sobjects/Contact/{key}"
    change: dict[str, Any] = {"json": {"FirstName": "X"}}
    for method, more in (("GET", {}), ("PATCH", change), ("DELETE", {})):
        answer = api(method, path, headers={"If-Unmodified-Since": before}, **more)
        assert answer.status_code == 412
        assert answer.json()[0]["errorCode"] == "PRECONDITION_FAILED"
    assert api("GET", path).json()["FirstName"] is None
    assert api("PATCH", path, headers={"If-Unmodified-Since": modified}, **change).ok


def test_a_describe_that_was_changed_in_between(api: Api) -> None:
    answer = api("GET", "/sobjects/Account/describe")
    fresh = {"If-Modified-Since": answer.headers["Last-Modified"]}
    assert api("GET", "/sobjects/Account/describe", headers=fresh).status_code == 304
    stale = {"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert api("GET", "/sobjects/Account/describe", headers=stale).status_code == 412


def test_the_method_may_stand_in_the_address(api: Api) -> None:
    key = api.create("Account", Name="Before")
    path = f"/sobjects/Account/{key}"
    answer = api("POST", path, params={"_HttpMethod": "PATCH"}, json={"Name": "After"})
    assert answer.status_code == 204
    assert api("GET", path).json()["Name"] == "After"
    assert api("GET", path, params={"_HttpMethod": "DELETE"}).status_code == 200
    assert api("POST", path, params={"_HttpMethod": "delete"}).status_code == 204
    assert api("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("path", "since"),
    [
        ("/jobs/query", 47),
        ("/limits/recordCount", 40),
        ("/composite/sobjects/Account?ids=001000000000001AAA&fields=Id", 42),
    ],
)
def test_a_resource_is_there_from_its_version_on(emulator: Emulator, path: str, since: int) -> None:
    older, newer = Api(emulator, f"{since - 1}.0"), Api(emulator, f"{since}.0")
    assert older("GET", path).json()[0]["errorCode"] == "NOT_FOUND"
    assert newer("GET", path).status_code == 200


def test_a_websocket_is_not_there(emulator: Emulator) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": key,
               "Sec-WebSocket-Version": "13"}  # fmt: skip
    answer = requests.get(f"{emulator.url}/cometd/66.0", headers=headers, timeout=10)
    assert answer.status_code == 404


DEEP_OBJECT = b'{"a":' * 5000 + b"1" + b"}" * 5000
DEEP_LIST = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    "body", [DEEP_OBJECT, DEEP_LIST, b'{"Name":' + b"[" * 300 + b"]" * 300 + b"}"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sobjects/Account"),
        ("PATCH", "/sobjects/Account/001000000000001AAA"),
        ("PATCH", "/sobjects/Showcase__c/External_Key__c/x"),
        ("POST", "/composite"),
        ("POST", "/composite/batch"),
        ("POST", "/composite/tree/Account"),
        ("POST", "/composite/sobjects"),
        ("PATCH", "/composite/sobjects"),
        ("POST", "/composite/sobjects/Account"),
        ("PATCH", "/composite/sobjects/Showcase__c/External_Key__c"),
        ("POST", "/jobs/query"),
    ],
)
def test_json_that_is_nested_too_deeply(api: Api, method: str, path: str, body: bytes) -> None:
    answer = api(method, path, data=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert isinstance(answer.json()[0]["errorCode"], str)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '"\\ud83d"', "1" * 5000])
def test_json_that_python_takes_and_the_standard_does_not(api: Api, text: str) -> None:
    body = f'{{"Name": "Odd", "Description": "whole", "AnnualRevenue": {text}}}'
    json_type = {"Content-Type": "application/json"}
    answer = api("POST", "/sobjects/Account", data=body, headers=json_type)
    assert answer.status_code == 400
    half = f'{{"Name": {json.dumps(chr(0xD83D) + "half")}}}'
    key = api("POST", "/sobjects/Account", data=half, headers=json_type).json()["id"]
    assert api("GET", f"/sobjects/Account/{key}").json()["Name"] == "?half"


def test_a_connection_that_speaks_no_http(emulator: Emulator) -> None:
    host, port = emulator.url.removeprefix("http://").split(":")
    for nonsense in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"\r\n\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            assert b" 500 " not in connection.recv(1000)
    assert requests.get(f"{emulator.url}/services/data", timeout=10).ok
