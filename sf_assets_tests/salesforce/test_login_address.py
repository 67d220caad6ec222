"""Where a login goes: addresses that are none, and answers that no Salesforce gives."""

import socket
import ssl
import time
from typing import Any

import pytest

from sf_assets.addresses import may_belong
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.errors import ConfigError, LoginError, OrgUnreachableError, SfAssetsError
from sf_assets.salesforce import auth
from sf_assets.salesforce.auth import login
from sf_assets.salesforce.client import connect
from sf_assets.settings import Credentials
from sf_assets_tests.salesforce.logins import (
    APP,
    GRANTED,
    OAUTH,
    SECRET,
    SOAP,
    USER,
    assert_no_secret,
    credentials,
    soap_answer,
    told,
)
from sf_assets_tests.salesforce.scripted import (
    HTML,
    Answer,
    Reply,
    ScriptedServer,
    as_json,
    html,
)
from sf_assets_tests.salesforce.scripted_org import ORG_ID


def test_no_address_names_the_setting_and_the_emulator() -> None:
    with pytest.raises(ConfigError, match=r"SALESFORCE_LOGIN_URL.*sf-assets emulator"):
        login(Credentials.model_validate(APP))


@pytest.mark.parametrize(
    "url", ["example.my.salesforce.com", "ftp://example.com", "https://", "http://[::1", "https:/x"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="SALESFORCE_LOGIN_URL"):
        login(credentials(url, **APP))


@pytest.mark.parametrize(
    "path", ["/", "/lightning/setup/SetupOneHome/home", "/?startURL=x", "#top"]
)
def test_an_address_copied_from_the_browser_will_do(server: ScriptedServer, path: str) -> None:
    server.on("POST", OAUTH, as_json(GRANTED))
    assert login(credentials(server.url + path, **APP)).org_id == ORG_ID


def test_a_password_inside_the_address_is_not_told(server: ScriptedServer) -> None:
    url = server.url.replace("http://", f"http://me:{SECRET}@")
    with pytest.raises(SfAssetsError) as refused:
        login(credentials(url, **APP))
    assert_no_secret(str(refused.value))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OrgUnreachableError, match="SALESFORCE_LOGIN_URL") as refused:
        login(credentials(f"http://127.0.0.1:{port}", **APP))
    assert refused.value.status is None
    assert_no_secret(told(refused.value))


def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(OrgUnreachableError, match=r"no-such-org\.invalid"):
        login(credentials("https://no-such-org.invalid", **APP))


def test_https_to_a_port_that_speaks_none() -> None:
    with Emulator(schema=standard_schema()) as org:
        url = org.url.replace("http:", "https:")
        with pytest.raises(OrgUnreachableError, match="speaks no https"):
            login(credentials(url, **APP))


def test_http_to_a_port_that_speaks_https(tls: ssl.SSLContext) -> None:
    with ScriptedServer(tls) as server, pytest.raises(OrgUnreachableError):
        login(credentials(server.url.replace("https:", "http:"), **APP))


def test_a_certificate_that_nobody_trusts(tls: ssl.SSLContext) -> None:
    with ScriptedServer(tls) as server, pytest.raises(OrgUnreachableError, match="certificate"):
        login(credentials(server.url, **APP))


def test_a_host_that_accepts_and_says_nothing(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "TIMEOUT", (1, 0.1))
    server.on("POST", OAUTH, Reply(wait=30))
    started = time.monotonic()
    with pytest.raises(OrgUnreachableError):
        login(credentials(server.url, **APP))
    assert time.monotonic() - started < 5


NO_SALESFORCE: dict[str, Answer] = {
    "page that is not there": html(404),
    "page in place of a token": html(200),
    "nothing at all": Reply(200),
    "nothing, and no type": Reply(200, headers={"Content-Type": None}),
    "list": as_json(["a"]),
    "number": as_json(7),
    "other document": as_json({"status": "UP"}),
    "other error": as_json({"error": {"code": 404, "message": "no such route"}}, 404),
    "token that is null": as_json({**GRANTED, "access_token": None}),
    "bytes": Reply(200, b"\xff\xfe\x00", {"Content-Type": "application/json"}),
    "answer cut short": Reply(200, b'{"access_token": "00D', length=500, cut=21),
    "answer that is reset": Reply(200, b"{}", length=500, cut=1, reset=True),
}


@pytest.mark.parametrize("answer", NO_SALESFORCE.values(), ids=NO_SALESFORCE.keys())
@pytest.mark.parametrize("values", [APP, USER], ids=["oauth", "soap"])
def test_what_answers_is_no_salesforce(
    server: ScriptedServer, values: dict[str, Any], answer: Answer
) -> None:
    server.on("POST", ".*", answer)
    with pytest.raises(OrgUnreachableError, match="SALESFORCE_LOGIN_URL") as refused:
        login(credentials(server.url, **values))
    assert server.url in str(refused.value)
    assert "<html>" not in str(refused.value)
    assert_no_secret(told(refused.value))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_login_host_is_not_called_a_wrong_address(
    server: ScriptedServer, status: int
) -> None:
    server.on("POST", OAUTH, html(status))
    with pytest.raises(OrgUnreachableError, match="busy") as refused:
        login(credentials(server.url, **APP))
    assert refused.value.status == status
    assert "SALESFORCE_LOGIN_URL" not in str(refused.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_credentials_are_not_sent_on_to_where_a_redirect_leads(
    server: ScriptedServer, status: int
) -> None:
    with ScriptedServer() as elsewhere:
        elsewhere.on("POST", OAUTH, as_json(GRANTED))
        location = {"Location": f"{elsewhere.url}{OAUTH}", "Content-Type": HTML}
        server.on("POST", OAUTH, Reply(status, headers=location))
        with pytest.raises(OrgUnreachableError, match=elsewhere.url) as refused:
            login(credentials(server.url, **APP))
        assert "SALESFORCE_LOGIN_URL" in str(refused.value)
        assert elsewhere.heard == []


HALF = Reply(200, b'{"access_token": "00D', {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "cut",
    [
        Reply(200, b'{"access_token": "00D', length=500, cut=21),
        Reply(200, b'{"access_token": "00D', framing="chunked", cut=21),
        Reply(mute=True),
        Reply(200, b"{}", length=500, cut=1, reset=True),
        HALF,
    ],
    ids=["cut short", "chunks cut short", "closed", "reset", "half JSON"],
)
def test_a_login_that_is_cut_short_once_is_tried_again(server: ScriptedServer, cut: Reply) -> None:
    server.on("POST", OAUTH, cut, as_json(GRANTED))
    assert login(credentials(server.url, **APP)).org_id == ORG_ID
    assert len(server.heard) == 2


@pytest.mark.parametrize(
    "url", ["http://example.my.salesforce.com", "http://192.168.1.5:8080", "http://localhost.evil"]
)
def test_no_secret_is_sent_in_clear(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr("requests.post", never)
    with pytest.raises(ConfigError, match="make it https://") as refused:
        login(credentials(url, **APP))
    assert_no_secret(told(refused.value))


ELSEWHERE = [
    "https://evil.example",
    "https://example.my.salesforce.com.evil.example",
    "https://evilsalesforce.com",
    "https://example.my.salesforce.com@evil.example",
    "http://example.my.salesforce.com",
    "ftp://example.my.salesforce.com",
    "//evil.example",
    "evil",
    "https://[::1",
    "https://evil.example:99999/x",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
@pytest.mark.parametrize("flow", ["oauth", "soap"])
def test_the_token_is_not_taken_to_where_a_hostile_login_answer_says(
    server: ScriptedServer, elsewhere: str, flow: str
) -> None:
    """`instance_url` and `serverUrl` with another host and scheme once got the bearer token."""
    server.on("POST", OAUTH, as_json({**GRANTED, "instance_url": elsewhere}))
    server.on("POST", SOAP, soap_answer(serverUrl=f"{elsewhere}/services/Soap/u/59.0/00D"))
    with pytest.raises(LoginError, match="nothing was sent there") as refused:
        connect(credentials(server.url, **(APP if flow == "oauth" else USER)))
    assert len(server.heard) == 1
    assert_no_secret(told(refused.value), GRANTED["access_token"])


def test_an_org_may_be_elsewhere_in_its_own_domain_or_salesforces() -> None:
    for login_url, instance in (
        ("https://login.salesforce.com", "https://example.my.salesforce.com"),
        ("https://example.my.salesforce.com", "https://example--dev.sandbox.my.salesforce.com"),
        ("https://example.my.salesforce.mil", "https://example.my.salesforce.mil:8443"),
        ("https://login.example.org", "https://data.example.org"),
        ("https://sf.example", "https://sf.example"),
        ("https://test.salesforce.com", "https://cs1.force.com"),
        ("http://127.0.0.1:8080", "http://localhost:9090"),
        ("http://[::1]:8080", "http://127.0.0.1:8080"),
    ):
        assert may_belong(login_url, instance), (login_url, instance)
    for login_url, instance in (
        ("https://example.my.salesforce.com", "http://127.0.0.1:8080"),
        ("https://example.my.salesforce.com", "https://localhost"),
        ("https://10.1.2.3", "https://99.1.2.3"),
        ("https://sf.example", "https://other.example"),
    ):
        assert not may_belong(login_url, instance), (login_url, instance)
