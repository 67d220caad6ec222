"""What an address of BigQuery says."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sf_assets.addresses import is_loopback, shown
from sf_assets.errors import ConfigError

FORM = "bigquery://project/prefix?location=EU"

_SCOPES = ("https://www.googleapis.com/auth/bigquery",)
_PARAMETERS = ("location", "credentials_path", "endpoint")
_PREFIX = re.compile(r"[A-Za-z0-9_]+")

_OURS = re.compile(r"(rebuilt_)?(silver|restricted)(_\w+)?|gold(_\w+)?|ops")
"""Schemas of the project's own."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a warehouse in BigQuery is.

    Attributes:
        project: Id of the project that has the datasets, and runs the jobs.
        prefix: How the names of the datasets begin; empty where they are called as the schemas.
        location: Where they are; None where that is as it is found.
        credentials_path: The file of a service account's key; None for what google-auth finds.
        endpoint: The service, where it is not Google's own.
    """

    project: str
    prefix: str = ""
    location: str | None = None
    credentials_path: str | None = None
    endpoint: str | None = None

    def dataset(self, schema: str) -> str:
        """The dataset that a schema is; what is none of ours is called as it is."""
        return f"{self.prefix}{schema}" if _OURS.fullmatch(schema) else schema

    def schema(self, dataset: str) -> str | None:
        """The schema that a dataset is; None where it is none of ours."""
        name = dataset.removeprefix(self.prefix)
        return name if dataset == self.dataset(name) and _OURS.fullmatch(name) else None

    def client(self, credentials: Any = None) -> Any:
        """A client of BigQuery.

        Args:
            credentials: Of google-auth; None for those that the address names, or the application's
                default ones.

        Raises:
            GoogleAuthError: There are none.
            OSError: The file of them cannot be read.
            ValueError: It holds none.
        """
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery
        from google.oauth2.service_account import Credentials

        options = {}
        if self.endpoint:
            options["api_endpoint"] = self.endpoint
            if is_loopback(urlsplit(self.endpoint).hostname):
                credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        if self.credentials_path:
            credentials = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                self.credentials_path, scopes=_SCOPES
            )
        return bigquery.Client(
            project=self.project,
            credentials=credentials,
            location=self.location,
            client_options=options,
        )


def parsed(url: str) -> Address:
    """What an address says.

    Args:
        url: `bigquery://project/prefix?location=EU`; the prefix and all parameters may be missing.

    Raises:
        ConfigError: It is not of that form.
    """
    parts = urlsplit(url)
    prefix = unquote(parts.path).strip("/")
    said = dict(parse_qsl(parts.query))
    if not parts.netloc or "@" in parts.netloc:
        raise _wrong(url, f"it must name the project and no user, as in {FORM}")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise _wrong(
            url,
            "what follows the project is how the names of datasets begin, of letters, digits and "
            "_; silver, gold and ops are datasets of their own",
        )
    if unknown := sorted(said.keys() - set(_PARAMETERS)):
        raise _wrong(
            url, f"{', '.join(unknown)} is no parameter; there are {', '.join(_PARAMETERS)}"
        )
    return Address(parts.netloc, f"{prefix}_" if prefix else "", **said)


def _wrong(url: str, why: str) -> ConfigError:
    return ConfigError(f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; {why}")
