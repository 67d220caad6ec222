"""SOAP: login, the oldest way in, and what is asked of a session right after it."""

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from sf_assets.emulator.auth import accepts
from sf_assets.emulator.clock import iso
from sf_assets.emulator.errors import not_found
from sf_assets.emulator.messages import XML, Reply, Request
from sf_assets.emulator.org import Org

_PARTNER = "{urn:partner.soap.sforce.com}"
_BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"
_SHORT_ID = 15
# From this version on the call is no longer offered.
_FIRST_WITHOUT_LOGIN = 65.0
_VERSION = re.compile(r"\d+\.\d")
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" {spaces}>'
    "<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
)
_SPACES = (
    'xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_WRONG = "Invalid username, password, security token; or user locked out."
_NO_SESSION = "Invalid Session ID found in SessionHeader: Illegal Session"


class SoapResources:
    """`POST /services/Soap/u/<version>`, and below it the address that a login hands out."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def call(self, request: Request, version: str, org_id: str = "") -> Reply:
        """Answer a call; an operation that is not served gets a fault."""
        if not _VERSION.fullmatch(version) or org_id[:_SHORT_ID] not in ("", self._short_id):
            raise not_found()
        try:
            # The standard parser expands no external entities; the server is for loopback.
            root = ET.fromstring(request.body)  # noqa: S314
        except (ET.ParseError, LookupError, ValueError) as error:
            return _fault("soapenv:Client", "", f"Unable to parse request: {error}")
        operation = next(iter(root.find(_BODY) or ()), None)
        if operation is None:
            return _fault("soapenv:Client", "", "The request has no operation in its Body")
        if operation.tag == f"{_PARTNER}login":
            return self._login(request, version, operation)
        token = (root.findtext(f".//{_PARTNER}sessionId") or "").strip()
        return self._perform(operation.tag, token)

    def _perform(self, operation: str, token: str) -> Reply:
        """Answer an operation of a session."""
        if not self._org.sessions.knows(token):
            return _fault("sf:INVALID_SESSION_ID", "INVALID_SESSION_ID", _NO_SESSION)
        match operation.removeprefix(_PARTNER):
            case "logout":
                self._org.sessions.revoke(token)
                return _answer("<logoutResponse/>")
            case "getUserInfo":
                return _result("getUserInfo", self._user_info())
            case "getServerTimestamp":
                now = iso(self._org.clock.now()).replace("+0000", "Z")
                return _result("getServerTimestamp", {"timestamp": now})
        message = f"No operation available for request {operation}, please check the WSDL"
        return _fault("soapenv:Client", "", f"{message} for the service.")

    @property
    def _short_id(self) -> str:
        return self._org.id[:_SHORT_ID]

    def _login(self, request: Request, version: str, call: ET.Element) -> Reply:
        if float(version) >= _FIRST_WITHOUT_LOGIN:
            message = "login() is not available in this API version"
            return _fault("sf:UNSUPPORTED_API_VERSION", "UNSUPPORTED_API_VERSION", message)
        username = (call.findtext(f"{_PARTNER}username") or "").strip()
        password = (call.findtext(f"{_PARTNER}password") or "").strip()
        if not accepts(self._org.settings.credentials, username, password):
            return _fault("sf:INVALID_LOGIN", "INVALID_LOGIN", _WRONG)
        return self._session(request, version)

    def _session(self, request: Request, version: str) -> Reply:
        org = self._org
        host = f"{org.instance or request.origin}/services/Soap"
        fields = {
            "metadataServerUrl": f"{host}/m/{version}/{org.id}",
            "passwordExpired": "false",
            "sandbox": "false",
            "serverUrl": f"{host}/u/{version}/{org.id}",
            "sessionId": org.sessions.issue(org.user.id),
            "userId": org.user.id,
        }
        body = (
            f"<loginResponse><result>{_elements(fields)}"
            f"<userInfo>{_elements(self._user_info())}</userInfo></result></loginResponse>"
        )
        return _answer(body)

    def _user_info(self) -> dict[str, str]:
        org = self._org
        return {
            "accessibilityMode": "false",
            "chatterExternal": "false",
            "currencySymbol": "$",
            "orgAttachmentFileSizeLimit": "5242880",
            "orgDefaultCurrencyIsoCode": "USD",
            "orgDefaultCurrencyLocale": "en_US",
            "orgDisallowHtmlAttachments": "false",
            "orgHasPersonAccounts": "false",
            "organizationId": org.id,
            "organizationMultiCurrency": "false",
            "organizationName": org.name,
            "profileId": org.user.profile_id or "",
            "roleId": "",
            "sessionSecondsValid": str(int(org.settings.token_seconds)),
            "userDefaultCurrencyIsoCode": "",
            "userEmail": org.user.email,
            "userFullName": org.user.name,
            "userId": org.user.id,
            "userLanguage": "en_US",
            "userLocale": "en_US",
            "userName": org.user.username,
            "userTimeZone": "GMT",
            "userType": "Standard",
            "userUiSkin": "Theme3",
        }


def _result(operation: str, values: Mapping[str, str]) -> Reply:
    """The answer of an operation whose result is some values."""
    inside = f"<result>{_elements(values)}</result>"
    return _answer(f"<{operation}Response>{inside}</{operation}Response>")


def _answer(body: str) -> Reply:
    return Reply(200, _ENVELOPE.format(spaces=_SPACES, body=body), XML)


def _elements(values: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _fault(fault_code: str, code: str, message: str) -> Reply:
    text = f"{code}: {message}" if code else message
    detail = (
        f'<detail><sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{code}'
        f"</sf:exceptionCode><sf:exceptionMessage>{escape(message)}</sf:exceptionMessage>"
        "</sf:LoginFault></detail>"
    )
    body = (
        f"<soapenv:Fault><faultcode>{fault_code}</faultcode>"
        f"<faultstring>{escape(text)}</faultstring>{detail if code else ''}</soapenv:Fault>"
    )
    spaces = (
        'xmlns:sf="urn:fault.partner.soap.sforce.com" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    )
    return Reply(500, _ENVELOPE.format(spaces=spaces, body=body), XML)
