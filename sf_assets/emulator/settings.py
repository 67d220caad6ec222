"""What can be chosen about an org, with the defaults of the demo."""

from dataclasses import dataclass
from typing import Literal

ResultPages = Literal["guide", "postman", "chunks", "off"]


@dataclass(frozen=True)
class Credentials:
    """The one user and the one connected app of the org.

    Attributes:
        refresh_token: The token that the web server flow grants.
        jwt_key: PEM of the app's public key; without it, signatures of JWT assertions are not
            checked.
    """

    username: str = "admin@example.com"
    password: str = "emulator-password"  # noqa: S105  the demo org's, known to everyone
    security_token: str = "EmulatorToken"  # noqa: S105
    client_id: str = "emulator-client-id"
    client_secret: str = "emulator-client-secret"  # noqa: S105
    refresh_token: str = "emulator-refresh-token"  # noqa: S105
    jwt_key: str | None = None


@dataclass(frozen=True)
class Settings:
    """How the org behaves.

    Attributes:
        credentials: What a login must present.
        token_seconds: How long a session lives.
        daily_api_requests: Calls in 24 hours.
        daily_query_jobs: Bulk query jobs in 24 hours.
        daily_query_kb: Kilobytes of Bulk query results in 24 hours.
        replication_days: How far back `/updated` and `/deleted` reach.
        job_seconds: Time that a Bulk job waits before it begins.
        job_seconds_per_100k: Least time that 100,000 rows take.
        page_rows: Rows in a result page when the client does not say.
        result_pages: Shape of the parallel result links, or `off` for an older org.
        faults: Whether `/_faults` and `/_control` exist.
    """

    credentials: Credentials = Credentials()
    token_seconds: float = 7200
    daily_api_requests: int = 100_000
    daily_query_jobs: int = 10_000
    daily_query_kb: int = 1_000_000_000
    replication_days: float = 30
    job_seconds: float = 0.1
    job_seconds_per_100k: float = 0.0
    page_rows: int = 50_000
    result_pages: ResultPages = "guide"
    faults: bool = False
