"""Login flows: which one is used follows from which credentials are set."""

import re
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit
from xml.sax.saxutils import escape

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError

from sf_assets.addresses import is_private, may_belong, shown
from sf_assets.errors import ConfigError, LoginError, OrgUnreachableError
from sf_assets.salesforce.refusals import PASSING, login_advice
from sf_assets.settings import Credentials

TIMEOUT = (10, 60)
"""Seconds to connect and to wait for an answer."""

BUSY = frozenset({406, 420, 429, 500, 502, 503, 504})
"""Statuses by which an org, or what stands before it, says: not now. 406 comes in bursts of
describes."""

_BRIEF = 200
_JWT_SECONDS = 180
_SOAP_VERSION = "59.0"  # SOAP login() is not offered from 65.0 on
_ORG_ID = re.compile(r"00D\w{12}(\w{3})?")


@dataclass(frozen=True, slots=True)
class Token:
    """An open session.

    Attributes:
        access_token: The bearer token.
        instance_url: Where the org's resources are, without a trailing slash.
        org_id: 18-character org Id, or None when the login did not say.
    """

    access_token: str
    instance_url: str
    org_id: str | None

    def __repr__(self) -> str:
        return f"Token(instance_url={self.instance_url!r}, org_id={self.org_id!r})"


class _CutShortError(OrgUnreachableError):
    """A login was answered, but not to the end: that may pass, and no password was found wrong."""


def login(credentials: Credentials) -> Token:
    """Open a session by the flow that the credentials allow.

    In this order: JWT bearer (private key), refresh token, username-password (SOAP login when no
    connected app is set), client credentials.

    Raises:
        ConfigError: No address, or no complete set of credentials.
        LoginError: The org refused them.
        OrgUnreachableError: No Salesforce answers at the address.
    """
    url = _base_url(credentials)
    form = _form(credentials, url)

    def ask() -> Token:
        return _token_login(credentials, url, form) if form else _soap_login(credentials, url)

    try:
        return ask()
    except _CutShortError:
        return ask()


def _base_url(credentials: Credentials) -> str:
    if not credentials.login_url:
        raise ConfigError(
            "no org is set: put SALESFORCE_LOGIN_URL and credentials into .env, "
            "or start an org of your own with `sf-assets emulator`"
        )
    try:
        parts = urlsplit(credentials.login_url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(
            f"SALESFORCE_LOGIN_URL is {shown(credentials.login_url)!r}; it must be an address "
            "such as https://example.my.salesforce.com"
        )
    if not is_private(credentials.login_url):
        raise ConfigError(
            f"SALESFORCE_LOGIN_URL is http://{parts.hostname}; secrets would go there for all to "
            "read: make it https:// (http is for this machine alone)"
        )
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _form(credentials: Credentials, url: str) -> dict[str, str] | None:
    """The token request of the OAuth flow to use; None for SOAP login."""
    secret = _reveal(credentials.client_secret)
    app = {"client_id": credentials.client_id or ""}
    if secret:  # an app may have none, and an empty one would be a wrong one
        app["client_secret"] = secret
    if credentials.private_key_file and credentials.client_id and credentials.username:
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        return {"grant_type": grant, "assertion": _assertion(credentials, url)}
    if credentials.refresh_token and credentials.client_id:
        token = _reveal(credentials.refresh_token)
        return {"grant_type": "refresh_token", "refresh_token": token} | app
    if credentials.username and credentials.password:
        if not (credentials.client_id and secret):
            return None
        password = _reveal(credentials.password) + _reveal(credentials.security_token)
        user = {"username": credentials.username, "password": password}
        return {"grant_type": "password"} | user | app
    if credentials.client_id and secret:
        return {"grant_type": "client_credentials"} | app
    raise ConfigError(
        "the credentials are incomplete: set SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET, "
        "or SALESFORCE_USERNAME with SALESFORCE_PASSWORD (and SALESFORCE_SECURITY_TOKEN), "
        "or SALESFORCE_CLIENT_ID, SALESFORCE_USERNAME and SALESFORCE_PRIVATE_KEY_FILE"
    )


def _reveal(secret: Any) -> str:
    return secret.get_secret_value() if secret else ""


def _assertion(credentials: Credentials, url: str) -> str:
    """The signed claim of the JWT bearer flow; it lives for three minutes."""
    import jwt

    path = credentials.private_key_file
    claims = {
        "iss": credentials.client_id,
        "sub": credentials.username,
        "aud": url,
        "exp": int(time.time()) + _JWT_SECONDS,
    }
    try:
        return jwt.encode(claims, path.read_bytes() if path else b"", algorithm="RS256")
    except OSError as error:
        raise ConfigError(
            f"SALESFORCE_PRIVATE_KEY_FILE {path} cannot be read: {error.strerror}"
        ) from None
    except (ValueError, TypeError, AttributeError, jwt.InvalidKeyError):
        # AttributeError: a public key, which PyJWT tries to sign with.
        raise ConfigError(
            f"SALESFORCE_PRIVATE_KEY_FILE {path} is no RSA private key in PEM form"
        ) from None


def _token_login(credentials: Credentials, url: str, form: dict[str, str]) -> Token:
    response = _post(f"{url}/services/oauth2/token", data=form)
    body = _json(response)
    if response.status_code == requests.codes.ok and body.get("access_token"):
        org_id = "".join(str(body.get("id")).rstrip("/").split("/")[-2:-1])
        instance = _instance(url, str(body.get("instance_url") or url))
        named = _ORG_ID.fullmatch(org_id)
        return Token(str(body["access_token"]), instance, org_id if named else None)
    code = body.get("error")
    if not code or not isinstance(code, str):
        raise _not_salesforce(url, response)
    reason = str(body.get("error_description", ""))
    raise _refused(credentials, url, response.status_code, code, reason)


def _soap_login(credentials: Credentials, url: str) -> Token:
    password = _reveal(credentials.password) + _reveal(credentials.security_token)
    envelope = (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:urn="urn:partner.soap.sforce.com"><soapenv:Body><urn:login>'
        f"<urn:username>{escape(credentials.username or '')}</urn:username>"
        f"<urn:password>{escape(password)}</urn:password>"
        "</urn:login></soapenv:Body></soapenv:Envelope>"
    )
    headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": "login"}
    address = f"{url}/services/Soap/u/{_SOAP_VERSION}"
    response = _post(address, data=envelope.encode(), headers=headers)
    try:
        # expat loads no outside entities and bounds how far inside ones may grow.
        tree = ET.fromstring(response.content)  # noqa: S314
    except ET.ParseError:
        raise _not_salesforce(url, response) from None
    found = {element.tag.rpartition("}")[2]: element.text or "" for element in tree.iter()}
    if found.get("passwordExpired") == "true":
        reason = "of this user"
        raise _refused(credentials, url, response.status_code, "PASSWORD_EXPIRED", reason)
    if found.get("sessionId") and found.get("serverUrl"):
        instance = _instance(url, found["serverUrl"])
        return Token(found["sessionId"], instance, found.get("organizationId"))
    code = found.get("exceptionCode") or found.get("faultcode", "").rpartition(":")[2]
    if not code:
        raise _not_salesforce(url, response)
    reason = found.get("exceptionMessage") or found.get("faultstring", "")
    raise _refused(credentials, url, response.status_code, code, reason)


def _instance(login_url: str, told: str) -> str:
    """Where the org says that it is, if the session's token may be sent there.

    Raises:
        LoginError: It may not.
    """
    try:
        parts = urlsplit(told)
        if may_belong(login_url, told) and parts.port != 0:
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    except ValueError:
        pass
    raise LoginError(
        f"{login_url} let us in and says that the org is at {shown(told)[:_BRIEF]}, which is "
        "neither its own domain nor one of Salesforce's, or not https; nothing was sent there: "
        "check SALESFORCE_LOGIN_URL"
    )


def _post(url: str, **request: Any) -> requests.Response:
    """Send credentials to this address, and to no other that it may name."""
    try:
        response = requests.post(url, timeout=TIMEOUT, allow_redirects=False, **request)
    except requests.exceptions.SSLError:
        raise OrgUnreachableError(
            f"{url} speaks no https, or has a certificate that is not trusted; check "
            "SALESFORCE_LOGIN_URL, and REQUESTS_CA_BUNDLE behind a proxy of your own"
        ) from None
    except requests.RequestException as error:
        kind = _CutShortError if _was_cut_short(error) else OrgUnreachableError
        raise kind(
            f"nothing answers at {url} ({type(error).__name__}); check SALESFORCE_LOGIN_URL and "
            "the network"
        ) from None
    if response.is_redirect:
        parts = urlsplit(urljoin(url, response.headers["Location"]))
        raise OrgUnreachableError(
            f"{url} leads on to {parts.scheme}://{parts.netloc}; if that is your org, set "
            "SALESFORCE_LOGIN_URL to it",
            status=response.status_code,
        )
    return response


def _was_cut_short(error: requests.RequestException) -> bool:
    """Whether somebody was there: the connection was made, and ended too soon."""
    if isinstance(error, ChunkedEncodingError | ContentDecodingError):
        return True
    return isinstance(error, requests.ConnectionError) and "Connection aborted" in str(error)


def _json(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except (requests.JSONDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _not_salesforce(url: str, response: requests.Response) -> OrgUnreachableError:
    if response.status_code in BUSY:
        return OrgUnreachableError(
            f"{url} answered the login {response.status_code}: it is busy, or down; run again "
            "later and see status.salesforce.com",
            status=response.status_code,
        )
    kind = response.headers.get("Content-Type", "no content type")
    looks_right = response.ok and ("json" in kind or "xml" in kind)
    return (_CutShortError if looks_right else OrgUnreachableError)(
        f"{url} answered {response.status_code} ({kind}), which is not how a Salesforce org "
        "answers a login; check SALESFORCE_LOGIN_URL",
        status=response.status_code,
    )


def _refused(
    credentials: Credentials, url: str, status: int, code: str, reason: str
) -> LoginError | OrgUnreachableError:
    given = credentials
    for secret in (given.client_secret, given.password, given.security_token, given.refresh_token):
        if secret:  # a refusal may quote what it refuses
            reason = reason.replace(_reveal(secret), "…")
    if code in PASSING:
        return OrgUnreachableError(
            f"{url} could not log us in now: {code} ({reason}); run again later and see "
            "status.salesforce.com",
            status=requests.codes.unavailable,
            code=code,
        )
    return LoginError(
        f"{url} refused the login: {code} ({reason}); {login_advice(code, reason)}",
        status=status,
        code=code,
    )
