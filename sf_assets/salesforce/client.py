"""An open connection to one org: who it is, which API version it speaks, REST and Bulk."""

import re
from dataclasses import dataclass
from datetime import datetime

from sf_assets.errors import ConfigError, LoginError, OrgUnreachableError, SalesforceError
from sf_assets.salesforce.auth import login
from sf_assets.salesforce.budget import RESERVE_PERCENT, Budget
from sf_assets.salesforce.bulk import BulkApi
from sf_assets.salesforce.responses import understood
from sf_assets.salesforce.rest import RestApi
from sf_assets.salesforce.session import OrgSession
from sf_assets.settings import Credentials

NEWEST_TESTED = 67.0
"""Summer '26. A newer version is not taken unless SALESFORCE_API_VERSION asks for it."""


@dataclass(frozen=True)
class Client:
    """One org, logged in to.

    Attributes:
        org_id: 18-character Id of the org.
        version: API version in use, such as `66.0`.
        session: The HTTP session that everything goes through.
        rest: REST resources.
        bulk: Bulk 2.0 query jobs.
    """

    org_id: str
    version: str
    session: OrgSession
    rest: RestApi
    bulk: BulkApi

    @property
    def budget(self) -> Budget:
        """What the org's limits leave, and what was used here."""
        return self.session.budget

    def now(self) -> datetime:
        """The org's present by its own clock, UTC, cut to the second."""
        return self.session.clock.now()


def connect(credentials: Credentials, reserve_percent: int = RESERVE_PERCENT) -> Client:
    """Log in to an org.

    Args:
        credentials: Who we are, and where.
        reserve_percent: Share of the org's limits that is left to others.

    Raises:
        ConfigError: Credentials are incomplete.
        LoginError: The org refused them.
        OrgUnreachableError: No Salesforce answers at the address.
    """
    session = OrgSession(lambda: login(credentials), reserve_percent)
    version = _negotiate(session, credentials.api_version)
    rest = RestApi(session, version)
    session.budget.ask = rest.limits
    org_id = session.token.org_id or _org_id(rest)
    return Client(org_id, version, session, rest, BulkApi(session, version))


def _org_id(rest: RestApi) -> str:
    with understood("GET /services/oauth2/userinfo"):
        return str(rest.user()["organization_id"])


def _negotiate(session: OrgSession, wanted: str | None) -> str:
    """The version that is wanted, else the newest that the org offers and we were tested with.

    The org is asked in either case: the list costs no call, and its Date header is how we learn
    the org's time.
    """
    url = f"{session.token.instance_url}/services/data"
    offered, refusal = _offered(session, url)
    if wanted is not None:
        number = re.fullmatch(r"v?(\d+)(?:\.0)?", wanted.strip())
        if number is None or (offered and float(number[1]) not in offered):
            raise ConfigError(
                f"SALESFORCE_API_VERSION is {wanted!r}; it must be a version that the org offers: "
                f"{', '.join(map(str, offered[-3:])) or 'such as 66.0'}"
            )
        return f"{number[1]}.0"
    known = [version for version in offered if version <= NEWEST_TESTED]
    if not known:
        raise OrgUnreachableError(
            f"{url} lists no API version that we know{refusal}; set SALESFORCE_API_VERSION if the "
            "address is right"
        )
    return str(max(known))


def _offered(session: OrgSession, url: str) -> tuple[list[float], str]:
    """Versions that the org lists, in order, and why there are none where it has no such list."""
    try:
        with understood(f"GET {url}"):
            return sorted(float(entry["version"]) for entry in session.get(url).json()), ""
    except (OrgUnreachableError, LoginError):
        raise
    except SalesforceError as error:
        return [], f" ({error})"
