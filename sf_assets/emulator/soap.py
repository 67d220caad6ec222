"""SOAP login, the oldest way in; the rest of the SOAP API is not served."""

import re
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from sf_assets.emulator.auth import accepts
from sf_assets.emulator.errors import not_found
from sf_assets.emulator.messages import XML, Reply, Request
from sf_assets.emulator.org import Org

_PARTNER = "{urn:partner.soap.sforce.com}"
_SHORT_ID = 15
# From this version on the call is no longer offered.
_FIRST_WITHOUT_LOGIN = 65.0
_VERSION = re.compile(r"\d+\.\d")
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" {spaces}>'
    "<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
)
_WRONG = "Invalid username, password, security token; or user locked out."


class SoapLogin:
    """`POST /services/Soap/u/<version>`."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def login(self, request: Request, version: str) -> Reply:
        """Answer the `login` call with a session, anything else with a fault."""
        try:
            # The standard parser expands no external entities; the server is for loopback.
            root = ET.fromstring(request.body)  # noqa: S314
        except ET.ParseError as error:
            return _fault("soapenv:Client", "", f"Unable to parse request: {error}")
        call = root.find(f".//{_PARTNER}login")
        if call is None:
            return _fault("sf:UNKNOWN_EXCEPTION", "UNKNOWN_EXCEPTION", "Only login is supported")
        if not _VERSION.fullmatch(version):
            raise not_found()
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
        user_info = {
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
        body = (
            f"<loginResponse><result>{_elements(fields)}"
            f"<userInfo>{_elements(user_info)}</userInfo></result></loginResponse>"
        )
        spaces = (
            'xmlns="urn:partner.soap.sforce.com" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        )
        return Reply(200, _ENVELOPE.format(spaces=spaces, body=body), XML)


def _elements(values: dict[str, str]) -> str:
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
