"""OAuth: tokens, who a token stands for, and their end."""

import base64
import hashlib
import hmac
import secrets
import threading
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.errors import not_found
from sf_assets.emulator.messages import Reply, Request, empty, json_reply
from sf_assets.emulator.org import Org
from sf_assets.emulator.settings import Credentials

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SHORT_ID = 15
# Assertions live for minutes; some clients write their expiry in milliseconds.
_LEEWAY_SECONDS = 180
_LARGEST_SECONDS = 10**11


class OAuthError(Exception):
    """A refused login: `error` and `error_description` of the answer."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}


@dataclass(frozen=True)
class _Code:
    """What an authorization code was handed out for."""

    redirect: str
    challenge: str | None


class OAuth:
    """The OAuth resources of an org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._codes: dict[str, _Code] = {}
        self._refreshes = True
        self._lock = threading.Lock()

    def authorize(self, request: Request) -> Reply:
        """`GET /services/oauth2/authorize`: the web server flow; the one user always agrees."""
        asked = request.query
        if asked.get("client_id") != self._org.settings.credentials.client_id:
            error = OAuthError("invalid_client_id", "client identifier invalid")
            return json_reply(error.body, 400)
        redirect = asked.get("redirect_uri", "")
        if not redirect.isprintable() or not redirect.isascii() or "://" not in redirect:
            error = OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
            return json_reply(error.body, 400)
        if asked.get("response_type") == "code":
            code = f"aPrx{secrets.token_urlsafe(48)}=="
            with self._lock:
                self._codes[code] = _Code(redirect, asked.get("code_challenge"))
            answer = {"code": code}
        else:
            answer = OAuthError("unsupported_response_type", "response type not supported").body
        if "state" in asked:
            answer["state"] = asked["state"]
        joiner = "&" if "?" in redirect else "?"
        return Reply(302, "", None, {"Location": f"{redirect}{joiner}{urlencode(answer)}"})

    def token(self, request: Request) -> Reply:
        """`POST /services/oauth2/token`."""
        form = {**request.query, **request.form()}
        client_id, secret = _client(request, form)
        try:
            self._check(form, client_id, secret)
        except OAuthError as error:
            return json_reply(error.body, 400)
        granted = self._granted(request)
        if form.get("grant_type") == "authorization_code":
            granted |= {
                "refresh_token": self._org.settings.credentials.refresh_token,
                "scope": "refresh_token id api",
            }
        return json_reply(granted)

    def revoke(self, request: Request) -> Reply:
        """`POST /services/oauth2/revoke`."""
        token = request.form().get("token") or request.query.get("token", "")
        if token == self._org.settings.credentials.refresh_token:
            self._refreshes = False
            return empty(200)
        if self._org.sessions.revoke(token):
            return empty(200)
        body = {"error": "unsupported_token_type", "error_description": "this token is not known"}
        return json_reply(body, 400)

    def user_info(self, request: Request) -> Reply:
        """`GET /services/oauth2/userinfo`."""
        user = self._org.user
        document = {
            "sub": self._identity(request),
            "user_id": user.id,
            "organization_id": self._org.id,
            "preferred_username": user.username,
            "nickname": user.username.partition("@")[0],
            "name": user.name,
            "email": user.email,
            "email_verified": True,
            "zoneinfo": "GMT",
            "user_type": "STANDARD",
            "active": True,
            "language": "en_US",
            "locale": "en_US",
            "utcOffset": 0,
            "urls": self._urls(request),
        }
        return json_reply(document)

    def identity(self, request: Request, org_id: str, user_id: str) -> Reply:
        """`GET /id/<org>/<user>`."""
        user = self._org.user
        if (org_id[:_SHORT_ID], user_id[:_SHORT_ID]) != (
            self._org.id[:_SHORT_ID],
            user.id[:_SHORT_ID],
        ):
            raise not_found()
        document = {
            "id": self._identity(request),
            "asserted_user": True,
            "user_id": user.id,
            "organization_id": self._org.id,
            "username": user.username,
            "nick_name": user.username.partition("@")[0],
            "display_name": user.name,
            "email": user.email,
            "email_verified": True,
            "active": True,
            "user_type": "STANDARD",
            "language": "en_US",
            "locale": "en_US",
            "utcOffset": 0,
            "urls": self._urls(request),
        }
        return json_reply(document)

    def _check(self, form: dict[str, str], client_id: str, secret: str | None) -> None:
        credentials = self._org.settings.credentials
        match form.get("grant_type"):
            case "client_credentials":
                _check_client(credentials, client_id, secret or "")
            case "password":
                _check_client(credentials, client_id, secret or "")
                if not accepts(credentials, form.get("username", ""), form.get("password", "")):
                    raise OAuthError("invalid_grant", "authentication failure")
            case "refresh_token":
                _check_client(credentials, client_id, secret)
                known = form.get("refresh_token") == credentials.refresh_token
                if not (known and self._refreshes):
                    raise OAuthError("invalid_grant", "expired access/refresh token")
            case "authorization_code":
                _check_client(credentials, client_id, secret)
                self._take_code(form)
                self._refreshes = True
            case grant if grant == _JWT_BEARER:
                _check_assertion(credentials, self._org.clock, form.get("assertion", ""))
            case _:
                raise OAuthError("unsupported_grant_type", "grant type not supported")

    def _take_code(self, form: dict[str, str]) -> None:
        """Use up an authorization code."""
        with self._lock:
            code = self._codes.pop(form.get("code", ""), None)
        if code is None:
            raise OAuthError("invalid_grant", "invalid authorization code")
        if form.get("redirect_uri") != code.redirect:
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        encoded = base64.urlsafe_b64encode(proof).decode().rstrip("=")
        if code.challenge not in (None, encoded):
            raise OAuthError("invalid_grant", "invalid code verifier")

    def _granted(self, request: Request) -> dict[str, Any]:
        issued = str(int(self._org.clock.now().timestamp() * 1000))
        identity = self._identity(request)
        secret = self._org.settings.credentials.client_secret.encode()
        signature = hmac.new(secret, (identity + issued).encode(), hashlib.sha256).digest()
        return {
            "access_token": self._org.sessions.issue(self._org.user.id),
            "signature": base64.b64encode(signature).decode(),
            "scope": "id api",
            "instance_url": self._org.instance or request.origin,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued,
        }

    def _identity(self, request: Request) -> str:
        return f"{request.origin}/id/{self._org.id}/{self._org.user.id}"

    def _urls(self, request: Request) -> dict[str, str]:
        data = f"{request.origin}/services/data/v{{version}}"
        return {
            "rest": f"{data}/",
            "sobjects": f"{data}/sobjects/",
            "query": f"{data}/query/",
            "recent": f"{data}/recent/",
            "partner": f"{request.origin}/services/Soap/u/{{version}}/{self._org.id[:_SHORT_ID]}",
            "profile": f"{request.origin}/{self._org.user.id}",
        }


def accepts(credentials: Credentials, username: str, password: str) -> bool:
    """Whether a user name, and a password with the security token behind it, are right."""
    expected = credentials.password + credentials.security_token
    return username.lower() == credentials.username.lower() and hmac.compare_digest(
        password.encode(), expected.encode()
    )


def _client(request: Request, form: dict[str, str]) -> tuple[str, str | None]:
    """Id and secret of the connected app, from the form or from HTTP Basic."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        except (Base64Error, UnicodeDecodeError):
            return "", ""
        return client_id, secret
    return form.get("client_id", ""), form.get("client_secret")


def _check_client(credentials: Credentials, client_id: str, secret: str | None) -> None:
    if client_id != credentials.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if secret is not None and not hmac.compare_digest(
        secret.encode(), credentials.client_secret.encode()
    ):
        raise OAuthError("invalid_client", "invalid client credentials")


def _check_assertion(credentials: Credentials, clock: Clock, assertion: str) -> None:
    """Check a JWT: lenient where real clients differ, strict on who and for whom."""
    import jwt

    try:
        # Time claims are checked below: clients write `exp` as text and in milliseconds.
        options: Any = {
            "verify_signature": credentials.jwt_key is not None,
            "verify_exp": False,
            "verify_aud": False,
            "verify_iat": False,
            "verify_nbf": False,
        }
        claims = jwt.decode(
            assertion, credentials.jwt_key or "", algorithms=["RS256"], options=options
        )
        expires = float(claims["exp"])
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        raise OAuthError("invalid_grant", "invalid assertion") from None
    if claims.get("iss") != credentials.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if str(claims.get("sub")).lower() != credentials.username.lower():
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    if expires > _LARGEST_SECONDS:
        expires /= 1000
    if expires + _LEEWAY_SECONDS < clock.now().timestamp():
        raise OAuthError("invalid_grant", "expired authorization code")
