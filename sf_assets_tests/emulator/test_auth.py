"""Ways in, and who a token stands for."""

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.ids import id18
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Credentials, Settings
from sf_assets_tests.emulator.conftest import Api

JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
USER = Credentials()
CLIENT = {"client_id": USER.client_id, "client_secret": USER.client_secret}


def token(emulator: Emulator, **form: str) -> requests.Response:
    return requests.post(f"{emulator.url}/services/oauth2/token", form, timeout=10)


def test_token_document(emulator: Emulator) -> None:
    answer = token(emulator, grant_type="client_credentials", **CLIENT)
    assert answer.status_code == 200
    document = answer.json()
    assert document["access_token"].startswith(emulator.org.id[:15] + "!")
    assert len(document["access_token"]) == 112
    assert document["instance_url"] == emulator.url
    assert document["token_type"] == "Bearer"
    assert document["id"] == f"{emulator.url}/id/{emulator.org.id}/{emulator.org.user.id}"
    assert document["issued_at"].isdecimal()
    assert "refresh_token" not in document
    assert "expires_in" not in document


def test_client_in_http_basic(emulator: Emulator) -> None:
    basic = base64.b64encode(f"{USER.client_id}:{USER.client_secret}".encode()).decode()
    answer = requests.post(
        f"{emulator.url}/services/oauth2/token",
        {"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {basic}"},
        timeout=10,
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("form", "error", "description"),
    [
        (
            {"grant_type": "password", **CLIENT, "username": USER.username, "password": "x"},
            "invalid_grant",
            "authentication failure",
        ),
        (
            {"grant_type": "client_credentials", **CLIENT, "client_id": "x"},
            "invalid_client_id",
            "client identifier invalid",
        ),
        (
            {"grant_type": "client_credentials", **CLIENT, "client_secret": "x"},
            "invalid_client",
            "invalid client credentials",
        ),
        (
            {"grant_type": "refresh_token", **CLIENT, "refresh_token": "x"},
            "invalid_grant",
            "expired access/refresh token",
        ),
        ({"grant_type": "x"}, "unsupported_grant_type", "grant type not supported"),
        ({"grant_type": JWT, "assertion": "x"}, "invalid_grant", "invalid assertion"),
    ],
)
def test_refused_logins(
    emulator: Emulator, form: dict[str, str], error: str, description: str
) -> None:
    answer = token(emulator, **form)
    assert answer.status_code == 400
    assert answer.json() == {"error": error, "error_description": description}


def test_password_and_refresh(emulator: Emulator) -> None:
    secret = USER.password + USER.security_token
    form = {"grant_type": "password", **CLIENT, "username": USER.username, "password": secret}
    assert token(emulator, **form).status_code == 200
    form = {"grant_type": "refresh_token", "refresh_token": USER.refresh_token}
    assert token(emulator, **form, client_id=USER.client_id).status_code == 200
    assert token(emulator, **form, **CLIENT).status_code == 200


def assertion(key: Any, **claims: Any) -> str:
    now = int(time.time())
    own = {"iss": USER.client_id, "sub": USER.username, "aud": "https://x/", "exp": now + 180}
    return jwt.encode({**own, **claims}, key, algorithm="RS256")


def test_jwt_is_read_leniently_and_its_signature_checked(schema: Schema) -> None:
    key, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in "ab")
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    settings = Settings(Credentials(jwt_key=pem.decode()))
    with Emulator(schema=schema, settings=settings) as emulator:

        def login(text: str) -> Any:
            return token(emulator, grant_type=JWT, assertion=text).json()

        seconds = int(time.time()) + 60
        for expires in (seconds, str(seconds), seconds * 1000):
            assert "access_token" in login(assertion(key, exp=expires))
        assert login(assertion(other))["error_description"] == "invalid assertion"
        assert login(assertion(key, sub="x@y"))["error_description"] == (
            "user hasn't approved this consumer"
        )
        assert login(assertion(key, exp=seconds - 3600))["error"] == "invalid_grant"
        assert login(assertion(key, iss="x"))["error"] == "invalid_client_id"


def test_sessions_expire_by_the_clock_of_the_org(schema: Schema) -> None:
    clock = Clock(datetime(2026, 1, 31, 10, tzinfo=UTC), frozen=True)
    settings = Settings(token_seconds=60)
    with Emulator(schema=schema, clock=clock, settings=settings) as emulator:
        client = Api(emulator)
        answer = client("GET", "/limits")
        assert answer.status_code == 200
        assert answer.headers["Date"] == "Sat, 31 Jan 2026 10:00:00 GMT"
        emulator.advance(61)
        answer = client("GET", "/limits")
        assert answer.status_code == 401
        assert answer.json() == [
            {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
        ]
        assert answer.headers["Date"] == "Sat, 31 Jan 2026 10:01:01 GMT"
        client.http.close()


def test_revoked_tokens_end(api: Api) -> None:
    spare = Api(api.emulator)
    url = f"{api.emulator.url}/services/oauth2/revoke"
    text = str(spare.http.headers["Authorization"]).removeprefix("Bearer ")
    assert requests.post(url, {"token": text}, timeout=10).status_code == 200
    assert spare("GET", "/limits").status_code == 401
    spare.http.close()


def test_userinfo_and_identity(api: Api) -> None:
    org = api.emulator.org
    url = f"{api.emulator.url}/services/oauth2/userinfo"
    info = api.http.get(url, timeout=10).json()
    assert info["organization_id"] == org.id == id18(org.id[:15])
    assert info["user_id"] == org.user.id
    assert info["preferred_username"] == USER.username
    assert info["urls"]["rest"].startswith(api.emulator.url)
    identity = api.http.get(info["sub"], timeout=10).json()
    assert identity["username"] == USER.username
    refused = requests.get(url, headers={"Authorization": "Bearer x"}, timeout=10)
    assert (refused.status_code, refused.text) == (403, "Bad_OAuth_Token")


def test_older_header_word(api: Api) -> None:
    header = str(api.http.headers["Authorization"]).replace("Bearer", "OAuth")
    answer = requests.get(f"{api.base}/limits", headers={"Authorization": header}, timeout=10)
    assert answer.status_code == 200


SOAP = """<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
  xmlns:urn="urn:partner.soap.sforce.com"><soapenv:Body><urn:login>
  <urn:username><![CDATA[{}]]></urn:username><urn:password><![CDATA[{}]]></urn:password>
  </urn:login></soapenv:Body></soapenv:Envelope>"""


def soap(emulator: Emulator, password: str, version: str = "60.0") -> requests.Response:
    return requests.post(
        f"{emulator.url}/services/Soap/u/{version}/",
        SOAP.format(USER.username, password).encode(),
        headers={"Content-Type": "text/xml", "SOAPAction": "''"},
        timeout=10,
    )


def test_soap_login_puts_values_where_clients_look(emulator: Emulator) -> None:
    answer = soap(emulator, USER.password + USER.security_token)
    result = ET.fromstring(answer.content)[0][0][0]  # noqa: S314  our own answer
    assert [e.tag.partition("}")[2] for e in result] == [
        "metadataServerUrl",
        "passwordExpired",
        "sandbox",
        "serverUrl",
        "sessionId",
        "userId",
        "userInfo",
    ]
    assert result[3].text == f"{emulator.url}/services/Soap/u/60.0/{emulator.org.id}"
    assert str(result[4].text).startswith(emulator.org.id[:15])
    assert result[6][8].text == emulator.org.id
    assert len(result[6]) == 24


def test_soap_faults(emulator: Emulator) -> None:
    wrong = soap(emulator, "wrong")
    assert wrong.status_code == 500
    assert "<faultcode>sf:INVALID_LOGIN</faultcode>" in wrong.text
    assert "<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>" in wrong.text
    late = soap(emulator, USER.password + USER.security_token, "65.0")
    assert "UNSUPPORTED_API_VERSION" in late.text


def soap_call(url: str, operation: str, session: str) -> requests.Response:
    body = f"""<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"
      xmlns="urn:partner.soap.sforce.com"><e:Header><SessionHeader><sessionId>{session}</sessionId>
      </SessionHeader></e:Header><e:Body>{operation}</e:Body></e:Envelope>"""
    headers = {"Content-Type": "text/xml", "SOAPAction": "''"}
    return requests.post(url, body.encode(), headers=headers, timeout=10)


def test_the_address_that_a_soap_login_hands_out_takes_calls(emulator: Emulator) -> None:
    answer = soap(emulator, USER.password + USER.security_token)
    result = ET.fromstring(answer.content)[0][0][0]  # noqa: S314  our own answer
    server, session = str(result[3].text), str(result[4].text)
    info = soap_call(server, "<getUserInfo/>", session)
    assert f"<organizationId>{emulator.org.id}</organizationId>" in info.text
    assert "getServerTimestampResponse" in soap_call(server, "<getServerTimestamp/>", session).text
    again = requests.post(
        server, SOAP.format(USER.username, USER.password + USER.security_token), timeout=10
    )
    assert "loginResponse" in again.text
    unknown = soap_call(server, "<convertLead/>", session)
    assert unknown.status_code == 500
    assert "No operation available for request {urn:partner.soap.sforce.com}convertLead" in (
        unknown.text
    )
    left = soap_call(server, "<logout/>", session)
    assert (left.status_code, "logoutResponse" in left.text) == (200, True)
    gone = soap_call(server, "<getUserInfo/>", session)
    assert (gone.status_code, "INVALID_SESSION_ID" in gone.text) == (500, True)
    bearer = {"Authorization": f"Bearer {session}"}
    limits = f"{emulator.url}/services/data/v60.0/limits"
    assert requests.get(limits, headers=bearer, timeout=10).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<a/>",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b'<?xml version="1.0" encoding="idna"?><a/>',
        SOAP.format("x", "y").encode("utf-16"),
        b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body/></e:Envelope>',
        b"<a>" * 20000 + b"</a>" * 20000,
    ],
)
def test_soap_that_cannot_be_read_gets_a_fault(emulator: Emulator, body: bytes) -> None:
    url = f"{emulator.url}/services/Soap/u/60.0/{emulator.org.id[:15]}"
    answer = requests.post(url, body, headers={"Content-Type": "text/xml"}, timeout=10)
    assert answer.status_code == 500
    assert "<soapenv:Fault>" in answer.text


def test_another_orgs_soap_address_is_not_here(emulator: Emulator) -> None:
    url = f"{emulator.url}/services/Soap/u/60.0/00D000000000000"
    assert requests.post(url, b"<a/>", timeout=10).status_code == 404


def authorized(emulator: Emulator, **more: str) -> dict[str, str]:
    """What the web server flow sends back to a client, by the address it asked for."""
    asked = {"response_type": "code", "client_id": USER.client_id, "state": "a b",
             "redirect_uri": "http://localhost:1717/OauthRedirect", **more}  # fmt: skip
    url = f"{emulator.url}/services/oauth2/authorize"
    answer = requests.get(url, params=asked, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    address, _, query = answer.headers["Location"].partition("?")
    assert address == asked["redirect_uri"]
    return dict(parse_qsl(query))


def test_the_web_flow_hands_out_the_refresh_token(emulator: Emulator) -> None:
    assert emulator.environment["SALESFORCE_REFRESH_TOKEN"] == USER.refresh_token
    verifier = "v" * 43
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    sent = authorized(emulator, code_challenge=challenge)
    assert sent["state"] == "a b"
    form = {"grant_type": "authorization_code", "code": sent["code"],
            "redirect_uri": "http://localhost:1717/OauthRedirect", **CLIENT}  # fmt: skip
    granted = token(emulator, **form, code_verifier=verifier).json()
    assert granted["refresh_token"] == USER.refresh_token
    again = token(emulator, **form, code_verifier=verifier).json()
    assert again["error_description"] == "invalid authorization code"
    form = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"], **CLIENT}
    refreshed = token(emulator, **form).json()
    assert "refresh_token" not in refreshed
    assert refreshed["access_token"] != granted["access_token"]


def test_the_web_flow_refuses_what_it_does_not_know(emulator: Emulator) -> None:
    other = {"response_type": "token"}
    assert authorized(emulator, **other)["error"] == "unsupported_response_type"
    url = f"{emulator.url}/services/oauth2/authorize"
    for asked in ({"client_id": "x"}, {"client_id": USER.client_id, "redirect_uri": "here"}):
        assert requests.get(url, params=asked, timeout=10).status_code == 400
    for wrong in ({"redirect_uri": "http://x/"}, {"code_verifier": "wrong"}):
        code = authorized(emulator, code_challenge="x")["code"]
        form = {"grant_type": "authorization_code", "code": code, **CLIENT,
                "redirect_uri": "http://localhost:1717/OauthRedirect", **wrong}  # fmt: skip
        assert token(emulator, **form).status_code == 400


def test_a_refresh_token_that_was_revoked(schema: Schema) -> None:
    with Emulator(schema=schema) as emulator:
        form = {"grant_type": "refresh_token", "refresh_token": USER.refresh_token, **CLIENT}
        assert token(emulator, **form).ok
        url = f"{emulator.url}/services/oauth2/revoke"
        assert requests.post(url, {"token": USER.refresh_token}, timeout=10).ok
        assert token(emulator, **form).json()["error_description"] == "expired access/refresh token"


def test_clock_skew() -> None:
    skewed = Clock(skew=3600).now() - datetime.now(UTC)
    assert timedelta(minutes=59) < skewed < timedelta(minutes=61)
