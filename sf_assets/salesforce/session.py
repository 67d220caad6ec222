"""One HTTP session with an org: where every request is authorised, counted, timed and retried.

It is an ordinary `requests.Session`, so that simple-salesforce and our own Bulk client share it.
"""

import random
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError

from sf_assets.errors import LoginError, OrgUnreachableError
from sf_assets.naming import ONLY
from sf_assets.salesforce.auth import BUSY, Token
from sf_assets.salesforce.budget import RESERVE_PERCENT, Budget
from sf_assets.salesforce.clock import Clock
from sf_assets.salesforce.responses import (
    error_of,
    is_busy,
    path_of,
    says_calls_are_used_up,
)
from sf_assets.settings import variables_of

CONNECT_SECONDS, READ_SECONDS = 10, 120
"""A stalled body breaks after `READ_SECONDS` without a byte."""

ATTEMPTS = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LOOKS_AT_THE_CLOCK = 8
"""How often the org is asked for the time, when its answers differ, before it is given up."""

_PASSING = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError, ContentDecodingError)


class _PlainHttp(HTTPAdapter):
    """Sends what simple-salesforce addresses to https:// over http, for an org on loopback."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        request.url = (request.url or "").replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


def pauses() -> Iterator[float]:
    """Seconds to wait before each new attempt: doubling, with full jitter."""
    longest = _FIRST_PAUSE
    for _ in range(ATTEMPTS - 1):
        yield random.uniform(longest / 2, longest)  # noqa: S311 (no secret)
        longest = min(longest * 2, _LONGEST_PAUSE)


class OrgSession(requests.Session):
    """A session with one org. Thread-safe for our use: headers and cookies are not changed.

    Args:
        open_session: Logs in; called at the start and whenever the session has expired.
        reserve_percent: Share of the org's limits that is left to others.

    Attributes:
        org_name: What the catalogue calls the org, whose variables errors name.

    Raises:
        BudgetExhaustedError: From any request that would break the reserve; it is not sent.
        SalesforceError: From any request, when the org's answer is an error that a retry does not
            heal; one of its children where the reason is known.
    """

    def __init__(
        self, open_session: Callable[[], Token], reserve_percent: int = RESERVE_PERCENT
    ) -> None:
        super().__init__()
        self._open_session = open_session
        self._login_lock = threading.Lock()
        self._refusal: LoginError | None = None
        self.org_name = ONLY
        self.clock = Clock()
        self._left: set[str] = set()
        self.token = self._log_in(BUSY)
        self.budget = Budget(self.token.instance_url, reserve_percent, self.clock.last_believed)
        self._connect(self.token.instance_url)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request until it is answered, renewing the session once if it has expired."""
        with variables_of(self.org_name):
            return self._send(request, options)

    def _send(
        self, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        options["timeout"] = options.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
        waits = pauses()
        renewed = False
        while True:
            token = self.token
            request.url = self._address(request.url or "")
            request.headers["Authorization"] = f"Bearer {token.access_token}"
            response = self._attempt(request, waits, options)
            if _expired(response) and not renewed:
                renewed = True
                self._renew(token)
            else:
                pause = next(waits, None) if _is_busy(response) else None
                if pause is None:
                    break
                time.sleep(max(pause, _retry_after(response)))
            response.close()
        if response.status_code >= requests.codes.multiple_choices and not _unchanged(response):
            error = error_of(response)
            if says_calls_are_used_up(error):
                self.budget.refused(request)
            raise error
        return response

    def _connect(self, instance_url: str) -> None:
        if instance_url.startswith("http://"):
            host = instance_url.removeprefix("http://")
            self.mount(f"https://{host}/", _PlainHttp(pool_maxsize=64))
        self.mount(f"{instance_url}/", HTTPAdapter(pool_maxsize=64))

    def _address(self, url: str) -> str:
        """A request's address, at the instance where the org is now.

        Links and clients keep the address of the login at which they were made.
        """
        parts = urlsplit(url)
        if parts.netloc not in self._left:
            return url
        here = urlsplit(self.token.instance_url)
        return urlunsplit(parts._replace(scheme=here.scheme, netloc=here.netloc))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirect leads; only within the org, for the token is for nobody else."""
        target = super().get_redirect_target(resp)
        here, there = urlsplit(resp.url), urlsplit(urljoin(resp.url, target or ""))
        if (here.scheme, here.netloc) == (there.scheme, there.netloc):
            return target
        resp.close()
        raise OrgUnreachableError(
            f"{resp.request.method} {here.path} leads on to {there.scheme}://{there.netloc}; if "
            "that is your org now, set SALESFORCE_LOGIN_URL to it, then run again",
            status=resp.status_code,
        )

    def _attempt(
        self, request: requests.PreparedRequest, waits: Iterator[float], options: dict[str, Any]
    ) -> requests.Response:
        """Send once; again when no answer came, or not a whole one."""
        while True:
            call = self.budget.begin(request)
            sent = datetime.now(UTC)
            try:
                response = super().send(request, **options)
            except requests.RequestException as error:
                self.budget.end(call)
                pause = next(waits, None) if isinstance(error, _PASSING) else None
                if pause is None:
                    raise OrgUnreachableError(
                        f"{request.method} {path_of(request.url)} got no answer from "
                        f"{self.token.instance_url} ({type(error).__name__}); check the network "
                        "and status.salesforce.com, then run again"
                    ) from None
                time.sleep(pause)
                continue
            except BaseException:
                self.budget.end(call)
                raise
            response.encoding = "utf-8"  # whatever the headers say (design rule 5)
            self.budget.end(call, response)
            with self.clock.judging:
                self.clock.observe(response.headers.get("Date"), sent + response.elapsed)
                self._settle_the_time(options)
            return response

    def _settle_the_time(self, options: Mapping[str, Any]) -> None:
        """Ask for the time again while it is not clear which answer to believe; costs no call."""
        url = f"{self.token.instance_url}/services/data"
        for _ in range(_LOOKS_AT_THE_CLOCK):
            if self.clock.settled:
                return
            ask = requests.Request("GET", url, {"Cache-Control": "no-cache"})
            how = {**options, "stream": False, "allow_redirects": False}
            sent = datetime.now(UTC)
            with suppress(requests.RequestException):
                answer = super().send(self.prepare_request(ask), **how)
                self.clock.observe(answer.headers.get("Date"), sent + answer.elapsed)

    def _renew(self, stale: Token) -> None:
        """Log in again, once for all threads that met the same expired token."""
        with self._login_lock:
            if self._refusal:  # asking on and on would lock the user out
                raise self._refusal
            if self.token is stale:
                try:
                    self._move_to(self._log_in(BUSY | {None}))
                except LoginError as refusal:
                    self._refusal = refusal
                    raise

    def _move_to(self, token: Token) -> None:
        """Go on with a new session, which may be at another instance; never with another org."""
        before = self.token
        if token.org_id and before.org_id and token.org_id != before.org_id:
            raise LoginError(
                f"the new login leads to org {token.org_id}, and this run is at work on org "
                f"{before.org_id}; nothing more was asked: check the credentials, then run again"
            )
        if token.instance_url != before.instance_url:
            self._connect(token.instance_url)
            self._left.add(urlsplit(before.instance_url).netloc)
            self._left.discard(urlsplit(token.instance_url).netloc)
        self.token = token

    def _log_in(self, passing: Container[int | None]) -> Token:
        """Open a session.

        Args:
            passing: Statuses of failures to be patient with; None stands for no answer.
        """
        for pause in pauses():
            try:
                return self._open_session()
            except OrgUnreachableError as error:
                if error.status not in passing:
                    raise
            time.sleep(pause)
        return self._open_session()


def _expired(response: requests.Response) -> bool:
    if response.status_code == requests.codes.forbidden:
        # That is what userinfo says to a bad token, and to nothing else.
        return path_of(response.url) == "/services/oauth2/userinfo"
    return bool(response.status_code == requests.codes.unauthorized)


def _is_busy(response: requests.Response) -> bool:
    if response.status_code in BUSY:
        return True
    if response.status_code != requests.codes.forbidden:
        return False
    error = error_of(response)
    return is_busy(response.status_code, error.code, str(error))


def _unchanged(response: requests.Response) -> bool:
    """Whether it is the answer to If-Modified-Since."""
    asked = "If-Modified-Since" in response.request.headers
    return asked and bool(response.status_code == requests.codes.not_modified)


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), 10 * _LONGEST_PAUSE) if value.isdecimal() else 0.0
