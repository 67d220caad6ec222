"""Access tokens: `00D…!…`, good for a while."""

import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.errors import ApiError

_SHORT_ID = 15
_OPAQUE = 72


@dataclass(frozen=True)
class Session:
    """Who a token stands for, and until when."""

    user_id: str
    expires: datetime


class Sessions:
    """The tokens that the org has issued.

    A session ends a fixed time after its login. (A real one ends after that time without use; the
    stricter rule lets a client meet expiry in the middle of its work.)

    Args:
        org_id: The org's Id; its first 15 characters begin every token.
        clock: The org's clock.
        seconds: Life of a session.
    """

    def __init__(self, org_id: str, clock: Clock, seconds: float) -> None:
        self._prefix = org_id[:_SHORT_ID]
        self._clock = clock
        self._seconds = seconds
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def issue(self, user_id: str) -> str:
        """A new token for a user."""
        token = f"{self._prefix}!AQ{secrets.token_urlsafe(_OPAQUE)[:94].replace('-', '.')}"
        expires = self._clock.now() + timedelta(seconds=self._seconds)
        with self._lock:
            self._sessions[token] = Session(user_id, expires)
        return token

    def user(self, authorization: str) -> str:
        """The user behind an `Authorization` header.

        Raises:
            ApiError: INVALID_SESSION_ID for an unknown or expired token.
        """
        scheme, _, token = authorization.partition(" ")
        session = self._find(token.strip())
        if session is None or scheme.lower() not in ("bearer", "oauth"):
            raise unknown_session()
        return session.user_id

    def knows(self, token: str) -> bool:
        """Whether a token stands for somebody."""
        return self._find(token) is not None

    def _find(self, token: str) -> Session | None:
        """The session of a token, unless it is over."""
        with self._lock:
            session = self._sessions.get(token)
        return session if session and session.expires > self._clock.now() else None

    def revoke(self, token: str) -> bool:
        """End a session; whether there was one."""
        with self._lock:
            return self._sessions.pop(token, None) is not None

    def revoke_all(self) -> None:
        """End all sessions, as an administrator may."""
        with self._lock:
            self._sessions.clear()


def unknown_session() -> ApiError:
    """The refusal of a token that stands for nobody here."""
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
