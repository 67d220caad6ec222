"""What an address of Snowflake says, as its connector takes it."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sf_assets.addresses import shown
from sf_assets.errors import ConfigError

FORM = "snowflake://user:password@account/database?warehouse=…&role=…"

_LOGIN_SECONDS = 30
"""For which an account that does not answer is waited for, unless the address says otherwise."""

_CALLED = {
    "private_key_path": "private_key_file",
    "private_key_passphrase": "private_key_file_pwd",
}
"""What dbt and dlt call parameters, and the connector otherwise."""


def parameters(url: str) -> dict[str, Any]:
    """Parameters of the connector.

    Args:
        url: `snowflake://user:password@account/database?warehouse=…&role=…`, as SQLAlchemy and dlt
            have it; without a password also `private_key_path=…`, with `private_key_passphrase=…`
            where it has one, or `authenticator=externalbrowser`. Others are the connector's own.

    Raises:
        ConfigError: It is not of that form.
    """
    parts = urlsplit(url)
    credentials, _, account = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    database = unquote(parts.path).strip("/")
    said = dict(parse_qsl(parts.query))
    if not database or not (account or "connection_name" in said):
        raise ConfigError(
            f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; it must name account and database, as in "
            f"{FORM}"
        )
    if "/" in database:
        raise ConfigError(
            f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; leave out the schema: silver, gold and "
            "ops are schemas of their own"
        )
    found: dict[str, Any] = {"account": account, "user": unquote(user), "database": database}
    found["password"] = unquote(password)
    given = {name: value for name, value in found.items() if value}
    if "authenticator" not in said:  # a person may take longer
        given["login_timeout"] = _LOGIN_SECONDS
    return given | {_CALLED.get(name, name): _value(text) for name, text in said.items()}


def _value(text: str) -> str | int | bool:
    if text.isdecimal():
        return int(text)
    return {"true": True, "false": False}.get(text.lower(), text)
