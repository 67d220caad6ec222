"""Logins for tests: what is presented, what is granted, and what must never be told."""

import traceback
from typing import Any

from sf_assets.settings import Credentials
from sf_assets_tests.salesforce.scripted import Reply
from sf_assets_tests.salesforce.scripted_org import ORG_ID, USER_ID

PASSWORD, TOKEN, SECRET = "pa<ss>&\"wörd'", "SecurityToken", "connected-app-secret"
REFRESH = "5Aep861-refresh"
SECRETS = (PASSWORD, TOKEN, SECRET, REFRESH)
APP = {"client_id": "3MVG9.client", "client_secret": SECRET}
USER = {"username": "admin@example.com", "password": PASSWORD, "security_token": TOKEN}
OAUTH, SOAP = "/services/oauth2/token", r"/services/Soap/u/\d+\.\d"
GRANTED = {
    "access_token": "00D5g000004vXYZ!AQopaque",
    "instance_url": "https://example.my.salesforce.com",
    "id": f"https://login.salesforce.com/id/{ORG_ID}/{USER_ID}",
    "token_type": "Bearer",
    "issued_at": "1795255200000",
    "signature": "c2lnbmF0dXJl",
    "scope": "id api",
}


def credentials(url: str, **values: Any) -> Credentials:
    """Credentials for the org at an address."""
    return Credentials.model_validate({"login_url": url, **values})


def told(error: BaseException) -> str:
    """All that a user or a log may get to see of an error."""
    shown = "".join(traceback.format_exception(error))
    return f"{shown}{error!r}{error}{getattr(error, '__notes__', '')}{vars(error)}"


def assert_no_secret(text: str, *more: str) -> None:
    """Nothing that was presented stands in a text."""
    for secret in (*SECRETS, PASSWORD + TOKEN, *more):
        assert secret not in text


def soap_answer(**changes: str) -> Reply:
    """What SOAP login answers."""
    values = {
        "metadataServerUrl": "https://example.my.salesforce.com/services/Soap/m/59.0/00D",
        "passwordExpired": "false",
        "serverUrl": f"https://example.my.salesforce.com/services/Soap/u/59.0/{ORG_ID}",
        "sessionId": "00D5g000004vXYZ!AQsoap",
        "userId": USER_ID,
        **changes,
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv='
        '"http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
        f"<soapenv:Body><loginResponse><result>{inner}<userInfo><organizationId>{ORG_ID}"
        "</organizationId></userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>"
    )
    return Reply(200, body.encode(), {"Content-Type": "text/xml;charset=UTF-8"})
