"""What an address of Redshift says: to its connector, and where rows are staged for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sf_assets.addresses import shown
from sf_assets.errors import ConfigError

FORM = "redshift://user:password@host:5439/database?staging=s3://bucket/prefix&iam_role=arn:aws:…"

_PORT = 5439
_NAMED_BY = ("cluster_identifier", "serverless_work_group")
"""Parameters that name a cluster or a workgroup, whose host the connector asks AWS for."""

_SSL_MODES = ("verify-ca", "verify-full")
"""Of any other the connector says nothing, and goes on unencrypted."""

_NUMBERS = frozenset(
    {"timeout", "tcp_keepalive_idle", "tcp_keepalive_interval", "tcp_keepalive_count"}
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Attributes:
        parameters: As the connector takes them.
        staging: Folder in S3 that rows are loaded from; empty for none.
        iam_role: Role, or roles, by which Redshift reads there; empty for the keys of the writer.
    """

    parameters: Mapping[str, Any]
    staging: str = ""
    iam_role: str = ""


def read_address(url: str) -> Address:
    """What an address says.

    Args:
        url: `redshift://user:password@host:5439/database`, with `staging=s3://bucket/prefix` and
            `iam_role=arn:aws:iam::…`, or `iam_role=default`. Other parameters are the connector's
            own, such as `iam=true&cluster_identifier=…`, with which host and password may be left
            out.

    Raises:
        ConfigError: It is not of that form.
    """
    parts, said = urlsplit(url), dict(parse_qsl(urlsplit(url).query))
    database = unquote(parts.path).strip("/")
    by_name = said.get("iam") == "true" and any(name in said for name in _NAMED_BY)
    if not database or not (parts.hostname or by_name):
        raise _refused(url, f"it must name host and database, as in {FORM}")
    if "/" in database:
        raise _refused(url, "leave out the schema: silver, gold and ops are schemas of their own")
    if said.get("sslmode", _SSL_MODES[0]) not in _SSL_MODES:
        raise _refused(url, f"sslmode is {' or '.join(_SSL_MODES)}")
    staging, iam_role = said.pop("staging", "").rstrip("/"), said.pop("iam_role", "")
    if staging and not (staging.startswith("s3://") and urlsplit(staging).netloc):
        raise _refused(url, "staging is a folder of a bucket in S3, such as s3://bucket/prefix")
    if iam_role and not staging:
        raise _refused(url, "iam_role is of a staging folder, which is not named: staging=s3://…")
    found: dict[str, Any] = {"host": parts.hostname, "database": database}
    found |= {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    given = {name: value for name, value in found.items() if value}
    if parts.hostname:
        given["port"] = parts.port or _PORT
    options = {name: _value(name, text) for name, text in said.items()}
    return Address(given | options, staging, iam_role)


def _value(name: str, text: str) -> str | int | bool:
    if name in _NUMBERS and text.isdecimal():
        return int(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _refused(url: str, why: str) -> ConfigError:
    return ConfigError(f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; {why}")
