"""What a user sets: environment variables, or the same names in `.env` of the current folder."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.naming import ONLY

MAIN = "main"
"""Name of the only warehouse."""

_HOME = ".sf_assets"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_BETWEEN = re.compile(r"[,\s]+(?=[^,\s=/?]+=[a-z0-9+]+://)")
"""What is between two addresses with their names, which may hold commas themselves."""

_LONGEST = 30 * 86_400
Model = TypeVar("Model", bound=BaseModel)


class Credentials(BaseModel):
    """How to reach and enter one org. Which login flow is used follows from what is set.

    Attributes:
        login_url: Address of the org's My Domain, or of the login host.
        api_version: Such as `66.0`; None for the newest that the org offers and we know.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    login_url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    security_token: SecretStr | None = None
    private_key_file: Path | None = None
    refresh_token: SecretStr | None = None
    api_version: str | None = None


_VARIABLE = re.compile(
    rf"\bSALESFORCE_(?=(?:{'|'.join(Credentials.model_fields)})\b)", re.IGNORECASE
)
"""How the name of a variable begins that is the only org's."""


class ReadingSettings(BaseModel):
    """How an org is read.

    Attributes:
        lag_seconds: Windows end this long before the org's present.
        overlap_seconds: Windows begin this long before the watermark.
        api_reserve_percent: Share of the org's limits that is never used here.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    lag_seconds: int = Field(300, ge=0, le=_LONGEST)
    overlap_seconds: int = Field(600, ge=0, le=_LONGEST)
    api_reserve_percent: int = Field(20, ge=0, lt=100)

    @property
    def lag(self) -> timedelta:
        """How long a record may take to become visible after its stamp."""
        return timedelta(seconds=self.lag_seconds)

    @property
    def late(self) -> timedelta:
        """How long after its stamp a record may become visible, and still be read surely."""
        return self.lag + self.overlap

    @property
    def overlap(self) -> timedelta:
        """How much of what is covered is read again."""
        return timedelta(seconds=self.overlap_seconds)


def named_addresses(text: str) -> dict[str, str]:
    """Addresses by name, of `name=address` with commas or spaces between them.

    Raises:
        ValueError: It is not of that form, or a name or an address is there twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, _BETWEEN.split(text.strip())):
        name, _, address = part.partition("=")
        if not is_warehouse_name(name) or "://" not in address:
            raise ValueError(
                "it names warehouses as in main=duckdb:////path/to/file,reporting=postgresql://…; "
                "a name has small letters, digits and `_`"
            )
        if name in found or address in found.values():
            raise ValueError(f"the name or the address of {name} is there twice")
        found[name] = address
    if not found:
        raise ValueError("it names no warehouse")
    return found


def is_warehouse_name(name: str) -> bool:
    """Whether a warehouse may be called so: its name begins asset keys and names of sensors."""
    return _NAME.fullmatch(name) is not None


class Settings(ReadingSettings):
    """Everything that is set outside the catalogue.

    Attributes:
        catalog: The user's own catalogue; None for the one in the package.
        storage_url: Object storage of the raw layer.
        storage_endpoint: Address of its service, where that is not the cloud's own.
        storage_region: Region of its bucket; s3 only.
        storage_kms_key: Key of one's own that it is encrypted with; s3 only.
        storage_class: Class, or Azure's tier, of its Parquet files.
        warehouse_url: Warehouse of silver and gold; query parameters are engine options.
        warehouses: Several of them: `name=address`, with commas between them.
        hash_key: Key of the hashes of fields that the catalogue has hashed.
    """

    catalog: Path | None = None
    storage_url: str = Field(repr=False)  # either may hold a password
    storage_endpoint: str | None = None
    storage_region: str | None = None
    storage_kms_key: str | None = None
    storage_class: str | None = None
    warehouse_url: str = Field("", repr=False)
    warehouses: Annotated[Mapping[str, str], BeforeValidator(named_addresses)] = Field(
        {}, repr=False
    )
    hash_key: SecretStr | None = None

    @property
    def addresses(self) -> dict[str, str]:
        """Addresses of all warehouses, by name; `warehouse_url` says that of `main`."""
        named = dict(self.warehouses)
        if self.warehouse_url and MAIN not in named and self.warehouse_url not in named.values():
            return {MAIN: self.warehouse_url, **named}
        return named


def environment() -> dict[str, str]:
    """The process environment over `.env` of the current folder; empty values are unset."""
    merged = {**dotenv_values(".env"), **os.environ}
    return {name: value for name, value in merged.items() if value}


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Read `SF_ASSETS_*`.

    Args:
        env: Instead of the process environment and `.env`.

    Raises:
        ConfigError: A value is not of its kind.
    """
    env = environment() if env is None else env
    home = quote(str(Path.cwd() / _HOME))
    values = {"storage_url": f"file://{home}/lake"}
    if "SF_ASSETS_WAREHOUSES" not in env:
        values["warehouse_url"] = f"duckdb:///{home}/sf.duckdb"
    return _parse(Settings, "SF_ASSETS_", values | _prefixed(env, "SF_ASSETS_"))


def load_credentials(env: Mapping[str, str] | None = None, org: str = ONLY) -> Credentials:
    """Read `SALESFORCE_*`, or `SALESFORCE_<ORG>_*` for a named org of the catalogue.

    Raises:
        ConfigError: A value is not of its kind.
    """
    env = environment() if env is None else env
    prefix = credentials_prefix(org)
    return _parse(Credentials, prefix, _prefixed(env, prefix))


def credentials_prefix(org: str = ONLY) -> str:
    """How the variables of an org's credentials begin."""
    return "SALESFORCE_" if org == ONLY else f"SALESFORCE_{org.upper()}_"


@contextmanager
def variables_of(org: str) -> Iterator[None]:
    """Have errors name the variables of a named org, not those of the only one."""
    try:
        yield
    except SfAssetsError as error:
        if org != ONLY:
            error.args = (_VARIABLE.sub(credentials_prefix(org), str(error)), *error.args[1:])
        raise


def _prefixed(env: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {k.removeprefix(prefix).lower(): v for k, v in env.items() if k.startswith(prefix)}


def _parse(model: type[Model], prefix: str, values: dict[str, str]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        field, problem = problem_of(error)
        name = prefix + field.upper()
        in_file = dotenv_values(".env").get(name) == values.get(field)
        place = ".env" if in_file else "the environment"
        raise ConfigError(f"{name} is not valid: {problem}; correct it in {place}") from None


def problem_of(error: ValidationError) -> tuple[str, str]:
    """The name of the first value that is not valid, and why it is not; without the value."""
    first = error.errors(include_input=False)[0]
    return str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
