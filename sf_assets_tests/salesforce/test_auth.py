"""Logging in: every flow, everything that can be refused, and that no secret is ever told."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import unescape

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Credentials as Accepted
from sf_assets.emulator.settings import Settings
from sf_assets.errors import ConfigError, LoginError, OrgUnreachableError
from sf_assets.salesforce.auth import BUSY, Token, login
from sf_assets.settings import load_credentials
from sf_assets_tests.salesforce.logins import (
    APP,
    GRANTED,
    OAUTH,
    PASSWORD,
    REFRESH,
    SECRET,
    SOAP,
    TOKEN,
    USER,
    assert_no_secret,
    credentials,
    soap_answer,
    told,
)
from sf_assets_tests.salesforce.scripted import Reply, ScriptedServer, as_json
from sf_assets_tests.salesforce.scripted_org import ORG_ID


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(private: Any, protection: Any = None) -> bytes:
    protection = protection or serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return bytes(private.private_bytes(serialization.Encoding.PEM, form, protection))


def public_pem(private: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, form)


@pytest.fixture(scope="module")
def key_file(key: rsa.RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "server.key"
    path.write_bytes(pem(key))
    return path


@pytest.fixture(scope="module")
def emulator(key: rsa.RSAPrivateKey) -> Iterator[Emulator]:
    """An org that checks all that a login presents."""
    accepted = Accepted(
        username=USER["username"],
        password=PASSWORD,
        security_token=TOKEN,
        client_id=APP["client_id"],
        client_secret=SECRET,
        refresh_token=REFRESH,
        jwt_key=public_pem(key).decode(),
    )
    with Emulator(schema=standard_schema(), settings=Settings(credentials=accepted)) as running:
        yield running


def flows(key_file: Path) -> dict[str, dict[str, Any]]:
    """What must be set for each flow."""
    user = {"client_id": APP["client_id"], "username": USER["username"]}
    return {
        "client credentials": APP,
        "username and password": APP | USER,
        "soap": USER,
        "refresh token": {**APP, "refresh_token": REFRESH},
        "refresh token without secret": {"client_id": APP["client_id"], "refresh_token": REFRESH},
        "jwt": {**user, "private_key_file": key_file},
    }


FLOWS = tuple(flows(Path()))


@pytest.mark.parametrize("flow", FLOWS)
def test_a_login_opens_a_session_of_the_org(emulator: Emulator, key_file: Path, flow: str) -> None:
    token = login(credentials(emulator.url, **flows(key_file)[flow]))
    assert token.org_id == emulator.org.id
    assert token.instance_url == emulator.url
    answer = requests.get(
        f"{token.instance_url}/services/data/v66.0/limits",
        headers={"Authorization": f"Bearer {token.access_token}"},
        timeout=10,
    )
    assert answer.status_code == 200


def test_the_emulators_own_environment_logs_in(emulator: Emulator) -> None:
    assert login(load_credentials(emulator.environment)).org_id == emulator.org.id


def test_client_credentials_sends_the_documented_form(server: ScriptedServer) -> None:
    server.on("POST", OAUTH, as_json(GRANTED))
    login(credentials(server.url, **APP))
    (request,) = server.heard
    assert request.form() == {"grant_type": "client_credentials", **APP}
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_the_security_token_follows_the_password(server: ScriptedServer) -> None:
    server.on("POST", OAUTH, as_json(GRANTED))
    login(credentials(server.url, **APP, **USER))
    form = server.heard[0].form()
    user = {"username": USER["username"], "password": PASSWORD + TOKEN}
    assert form == {"grant_type": "password", **APP, **user}


def test_a_trusted_address_needs_no_security_token(server: ScriptedServer) -> None:
    server.on("POST", OAUTH, as_json(GRANTED))
    login(credentials(server.url, **APP, username="me@example.com", password=PASSWORD))
    assert server.heard[0].form()["password"] == PASSWORD


def test_an_app_without_secret_sends_none_when_it_refreshes(server: ScriptedServer) -> None:
    """An empty secret is a wrong one."""
    server.on("POST", OAUTH, as_json(GRANTED))
    login(credentials(server.url, client_id="3MVG9.client", refresh_token=REFRESH))
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH, "client_id": "3MVG9.client"}
    assert server.heard[0].form() == form


def test_a_jwt_says_who_wants_in_and_lives_for_minutes(
    server: ScriptedServer, key: rsa.RSAPrivateKey, key_file: Path
) -> None:
    server.on("POST", OAUTH, as_json(GRANTED))
    login(credentials(f"{server.url}/", **flows(key_file)["jwt"]))
    form = server.heard[0].form()
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(
        form["assertion"], public_pem(key), algorithms=["RS256"], audience=server.url
    )
    assert (claims["iss"], claims["sub"]) == ("3MVG9.client", "admin@example.com")
    assert isinstance(claims["exp"], int)
    assert 60 < claims["exp"] - time.time() <= 300


def test_a_private_key_goes_before_a_password(server: ScriptedServer, key_file: Path) -> None:
    server.on("POST", OAUTH, as_json(GRANTED))
    login(credentials(server.url, **APP, **USER, private_key_file=key_file))
    assert "assertion" in server.heard[0].form()


def test_soap_login_keeps_scheme_host_and_port_of_the_server_url(server: ScriptedServer) -> None:
    server.on("POST", SOAP, soap_answer(serverUrl="http://127.0.0.1:8080/services/Soap/u/59.0/00D"))
    token = login(credentials(server.url, **USER))
    assert token == Token("00D5g000004vXYZ!AQsoap", "http://127.0.0.1:8080", ORG_ID)


def test_soap_login_carries_any_password_unharmed(server: ScriptedServer) -> None:
    server.on("POST", SOAP, soap_answer())
    login(credentials(server.url, **USER))
    (request,) = server.heard
    assert "soapaction" in request.headers
    assert request.headers["content-type"].startswith("text/xml")
    sent = dict(re.findall(r"<(?:\w+:)?(username|password)>(.*?)</", request.body.decode()))
    assert sent["username"] == USER["username"]
    assert unescape(sent["password"]) == PASSWORD + TOKEN


def test_the_instance_url_never_ends_in_a_slash(server: ScriptedServer) -> None:
    server.on("POST", OAUTH, as_json({**GRANTED, "instance_url": "https://na1.salesforce.com/"}))
    assert login(credentials(server.url, **APP)).instance_url == "https://na1.salesforce.com"


@pytest.mark.parametrize("identity", [None, "", "https://host/id", "https://host:8080/x/y/"])
def test_an_identity_that_names_no_org_is_no_org_id(server: ScriptedServer, identity: Any) -> None:
    """Else a host name would become the folder that an org's data is kept in."""
    server.on("POST", OAUTH, as_json({**GRANTED, "id": identity}))
    assert login(credentials(server.url, **APP)).org_id is None


REFUSED = [
    # (flow, what is changed, error code, what the message must say)
    ("client credentials", {"client_id": "wrong"}, "invalid_client_id", "SALESFORCE_CLIENT_ID"),
    ("client credentials", {"client_secret": "wrong-secret"}, "invalid_client", "CLIENT_SECRET"),
    ("username and password", {"password": "wrong-secret"}, "invalid_grant", "password or token"),
    ("username and password", {"security_token": "wrong-secret"}, "invalid_grant", "token"),
    ("username and password", {"client_secret": "wrong-secret"}, "invalid_client", "SECRET"),
    ("soap", {"password": "wrong-secret"}, "INVALID_LOGIN", "SALESFORCE_PASSWORD"),
    ("soap", {"security_token": None}, "INVALID_LOGIN", "SALESFORCE_SECURITY_TOKEN"),
    ("refresh token", {"refresh_token": "wrong-secret"}, "invalid_grant", "token"),
    ("jwt", {"username": "somebody@else.example"}, "invalid_grant", "user"),
    ("jwt", {"client_id": "wrong"}, "invalid_client_id", "SALESFORCE_CLIENT_ID"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_login_says_what_to_look_at(
    emulator: Emulator, key_file: Path, case: tuple[str, dict[str, Any], str, str]
) -> None:
    flow, change, code, advice = case
    with pytest.raises(LoginError) as refused:
        login(credentials(emulator.url, **(flows(key_file)[flow] | change)))
    assert refused.value.code == code
    assert advice in str(refused.value)
    assert emulator.url in str(refused.value)
    assert_no_secret(told(refused.value), "wrong-secret")


@pytest.mark.parametrize(
    ("code", "description", "advice"),
    [
        ("invalid_grant", "authentication failure", "password"),
        ("invalid_grant", "expired access/refresh token", "token"),
        ("invalid_grant", "no client credentials user enabled", "connected app"),
        ("invalid_grant", "request not supported on this domain", "My Domain"),
        ("invalid_grant", "user hasn't approved this consumer", "connected app"),
        ("invalid_client_id", "client identifier invalid", "SALESFORCE_CLIENT_ID"),
        ("invalid_client", "invalid client credentials", "SALESFORCE_CLIENT_SECRET"),
        ("unsupported_grant_type", "grant type not supported", "other credentials"),
        ("inactive_user", "user is inactive", "user"),
        ("inactive_org", "organization is inactive", "org"),
        ("rate_limit_exceeded", "login rate exceeded", "later"),
        ("something_new", "never seen before", "credentials"),
        ("invalid_grant", "ip restricted", "address is not trusted"),
        ("invalid_grant", "inactive user", "activated"),
        ("invalid_grant", "expired password", "SALESFORCE_PASSWORD"),
        ("invalid_grant", "audience is invalid", "SALESFORCE_LOGIN_URL"),
        ("invalid_app_access", "user is not admin approved to access this app", "connected app"),
    ],
)
def test_every_refusal_is_passed_on_with_advice(
    server: ScriptedServer, code: str, description: str, advice: str
) -> None:
    server.on("POST", OAUTH, as_json({"error": code, "error_description": description}, 400))
    with pytest.raises(LoginError) as refused:
        login(credentials(server.url, **APP))
    assert (refused.value.code, refused.value.status) == (code, 400)
    answer, _, hint = str(refused.value).partition(";")
    assert code in answer
    assert description in answer
    assert advice in hint


XML = {"Content-Type": "text/xml"}


def soap_fault(code: str, message: str) -> bytes:
    """How SOAP login refuses."""
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault>'
        f"<faultcode>sf:{code}</faultcode><faultstring>{message}</faultstring>"
        "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    ).encode()


def test_a_locked_out_user_of_soap_login(server: ScriptedServer) -> None:
    message = "INVALID_LOGIN: Invalid username, password, security token; or user locked out."
    server.on("POST", SOAP, Reply(500, soap_fault("INVALID_LOGIN", message), XML))
    with pytest.raises(LoginError, match="or user locked out") as refused:
        login(credentials(server.url, **USER))
    assert (refused.value.code, refused.value.status) == ("INVALID_LOGIN", 500)
    assert_no_secret(told(refused.value))


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "expired"),
        ("LOGIN_DURING_RESTRICTED_DOMAIN", "address is not trusted"),
        ("LOGIN_MUST_USE_SECURITY_TOKEN", "SALESFORCE_SECURITY_TOKEN"),
        ("API_DISABLED_FOR_ORG", "API Enabled"),
        ("ORG_LOCKED", "org is closed"),
        ("SOMETHING_NEW", "credentials"),
    ],
)
def test_every_fault_of_soap_login_is_passed_on_with_advice(
    server: ScriptedServer, code: str, advice: str
) -> None:
    server.on("POST", SOAP, Reply(500, soap_fault(code, f"{code}: why"), XML))
    with pytest.raises(LoginError) as refused:
        login(credentials(server.url, **USER))
    assert refused.value.code == code
    assert advice in str(refused.value).partition(";")[2]


@pytest.mark.parametrize("code", ["SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"])
def test_a_login_host_that_fails_has_not_refused_the_password(
    server: ScriptedServer, code: str
) -> None:
    server.on("POST", SOAP, Reply(500, soap_fault(code, f"{code}: too busy"), XML))
    with pytest.raises(OrgUnreachableError, match="run again later") as failed:
        login(credentials(server.url, **USER))
    assert failed.value.status in BUSY


def test_an_expired_password_is_not_taken_for_a_session(server: ScriptedServer) -> None:
    """Salesforce then opens a session that is good for nothing but a new password."""
    server.on("POST", SOAP, soap_answer(passwordExpired="true"))
    with pytest.raises(LoginError, match="expired"):
        login(credentials(server.url, **USER))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"client_id": "x"},
        {"client_secret": SECRET},
        {"username": "me@example.com"},
        {"password": PASSWORD},
        {"username": "me@example.com", "client_id": "x"},
        {"refresh_token": REFRESH},
        {"private_key_file": "server.key", "username": "me@example.com"},
    ],
)
def test_incomplete_credentials_name_the_sets_that_would_do(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        login(credentials("https://example.my.salesforce.com", **values))
    for name in ("CLIENT_SECRET", "PASSWORD", "SECURITY_TOKEN", "PRIVATE_KEY_FILE"):
        assert f"SALESFORCE_{name}" in str(refused.value)
    assert_no_secret(told(refused.value))


@pytest.mark.parametrize(
    "content", ["missing", "junk", "public", "curve", "locked", "cut", "empty"]
)
def test_a_private_key_that_cannot_be_used(
    tmp_path: Path, key: rsa.RSAPrivateKey, content: str
) -> None:
    path = tmp_path / "server.key"
    contents = {
        "junk": b"junk",
        "public": public_pem(key),
        "curve": pem(ec.generate_private_key(ec.SECP256R1())),
        "locked": pem(key, serialization.BestAvailableEncryption(b"passphrase")),
        "cut": pem(key)[:600],
        "empty": b"",
    }
    if content in contents:
        path.write_bytes(contents[content])
    user = {"client_id": "x", "username": "me@example.com"}
    with pytest.raises(ConfigError, match="SALESFORCE_PRIVATE_KEY_FILE") as refused:
        login(credentials("https://example.my.salesforce.com", **user, private_key_file=path))
    assert str(path) in str(refused.value)
    assert "BEGIN" not in str(refused.value)


# Secrets


def test_a_token_and_its_credentials_show_no_secret(emulator: Emulator, key_file: Path) -> None:
    for values in flows(key_file).values():
        given = credentials(emulator.url, **values)
        token = login(given)
        assert_no_secret(f"{given!r}{given}{token!r}{token}", token.access_token)
        assert token.instance_url in repr(token)


def test_an_org_that_repeats_what_it_was_sent(server: ScriptedServer) -> None:
    """Some identity providers quote the bad password in their refusal."""
    for secret in (PASSWORD, PASSWORD + TOKEN, SECRET):
        body = {"error": "invalid_grant", "error_description": f"'{secret}' is not right"}
        server.on("POST", OAUTH, as_json(body, 400))
        with pytest.raises(LoginError) as refused:
            login(credentials(server.url, **APP, **USER))
        assert "is not right" in str(refused.value)
        assert_no_secret(told(refused.value))
