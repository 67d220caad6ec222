"""How a bucket is opened: credentials are found where each cloud's own tools find them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from obstore.store import ObjectStore, from_url

from sf_assets.errors import ConfigError

_AWS_TTL = timedelta(minutes=10)
"""So long at least botocore's temporary credentials are good when they are handed out."""

_AWS_PLAIN = {"AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE"}
"""Variables with which obstore needs nobody's help."""

_AWS_ADVICE = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (after `aws sso login`), or "
    "give the machine a role"
)
_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")

_GOOGLE_PLAIN = {
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BEARER_TOKEN",
}
_GOOGLE_ADVICE = (
    "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, run `gcloud auth "
    "application-default login`, or give the machine a service account"
)
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"

_AZURE_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
_CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"


_OPTIONS = {
    "endpoint": ("SF_ASSETS_STORAGE_ENDPOINT", ("s3", "gs", "az")),
    "region": ("SF_ASSETS_STORAGE_REGION", ("s3",)),
    "kms_key": ("SF_ASSETS_STORAGE_KMS_KEY", ("s3",)),
    "storage_class": ("SF_ASSETS_STORAGE_CLASS", ("s3", "gs", "az")),
}
"""What may be set, by which variable, and of which storages."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached, entered and written to. What is None is as the cloud has it.

    Attributes:
        endpoint: Address of the service.
        region: Region of the bucket; s3 only.
        kms_key: Key of one's own that S3 encrypts with; s3 only.
        storage_class: Class, or Azure's tier, of Parquet files.
        credentials: Gives credentials when it is called, as obstore's providers do.
        variables: The environment, which the clouds' own tools look into for credentials.
    """

    endpoint: str | None = None
    region: str | None = None
    kms_key: str | None = None
    storage_class: str | None = None
    credentials: Callable[[], Any] | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


def open_bucket(url: str, access: Access) -> ObjectStore:
    """Open a bucket; nothing is sent yet.

    Args:
        url: `s3://…`, `gs://…` or `az://…`.
        access: How it is reached and entered.

    Raises:
        ConfigError: There are no credentials, or what is set does not go together.
    """
    return _OPENERS[urlsplit(url).scheme](url, access)


def refuse_unused(kind: str, access: Access) -> None:
    """Refuse what is set and would do nothing.

    Args:
        kind: What the storage is: `file`, `s3`, `gs` or `az`.
        access: How it is reached, entered and written to.

    Raises:
        ConfigError: Something is set that this kind does not have.
    """
    for option, (variable, kinds) in _OPTIONS.items():
        if getattr(access, option) and kind not in kinds:
            instead = (
                "make the key the default of the bucket or of the storage account instead"
                if option == "kms_key" and kind != "file"
                else f"it is for {', '.join(f'{one}://' for one in kinds)}; take it away"
            )
            raise ConfigError(
                f"{variable}, or `{option}` of the resource, is set, and the storage is {kind}://, "
                f"where it does nothing; {instead}"
            )


def _s3(url: str, access: Access) -> ObjectStore:
    config = {"endpoint": access.endpoint, "region": access.region}
    if access.kms_key:
        config |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": access.kms_key}
    told = [access.endpoint, *map(access.variables.get, _S3_ENDPOINTS)]
    provider = access.credentials
    if provider is None and not access.variables.keys() & _AWS_PLAIN:
        provider = AwsCredentials()
    return _opened(url, config, told, provider)


class AwsCredentials:
    """Credentials of an AWS session: of a profile, SSO, a web identity, a role of the machine.

    They are asked for when they are first needed.

    Args:
        session: A boto3 session; None for what boto3 finds by itself.

    Attributes:
        config: What the session tells of the bucket, which obstore takes from here.

    Raises:
        ConfigError: There is no such profile, or, when it is called, there are no credentials.
    """

    def __init__(self, session: Any = None) -> None:
        import boto3
        from botocore.exceptions import BotoCoreError

        try:
            self._session = session or boto3.Session()
        except BotoCoreError as error:
            raise ConfigError(f"there are no AWS credentials: {error}; {_AWS_ADVICE}") from None
        region = self._session.region_name
        self.config = {"region": region} if region else {}

    @cached_property
    def _provider(self) -> Callable[[], Any]:
        from obstore.auth.boto3 import Boto3CredentialProvider

        try:
            return Boto3CredentialProvider(self._session, ttl=_AWS_TTL)
        except ValueError:
            raise ConfigError(f"there are no AWS credentials; {_AWS_ADVICE}") from None

    def __call__(self) -> Any:
        """Credentials that are good for some minutes."""
        return self._provider()


def _gs(url: str, access: Access) -> ObjectStore:
    provider = access.credentials
    if provider is None and not access.variables.keys() & _GOOGLE_PLAIN:
        provider = GoogleCredentials()
    told = [access.endpoint, access.variables.get("GOOGLE_BASE_URL")]
    return _opened(url, {"base_url": access.endpoint}, told, provider)


class GoogleCredentials:
    """Credentials of google-auth: a service account, a user, a workload's or machine's identity.

    They are asked for when they are first needed.

    Args:
        credentials: Of google-auth; None for the application default ones.

    Raises:
        ConfigError: When it is called: there are none.
    """

    def __init__(self, credentials: Any = None) -> None:
        self._credentials = credentials

    @cached_property
    def _provider(self) -> Callable[[], Any]:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError
        from obstore.auth.google import GoogleCredentialProvider

        try:
            found = self._credentials or google.auth.default(scopes=[_GOOGLE_SCOPE])[0]
        except DefaultCredentialsError:
            raise ConfigError(f"there are no Google credentials; {_GOOGLE_ADVICE}") from None
        return GoogleCredentialProvider(found)

    def __call__(self) -> Any:
        """A token that is good for some time."""
        return self._provider()


def _az(url: str, access: Access) -> ObjectStore:
    text = access.variables.get(_CONNECTION_STRING)
    config = connection_of_azure(text) if text else {}
    if access.endpoint:
        config["endpoint"] = access.endpoint
    told = [config.get("endpoint"), *map(access.variables.get, _AZURE_ENDPOINTS)]
    return _opened(url, config, told, access.credentials)


def connection_of_azure(text: str) -> dict[str, Any]:
    """What a connection string of Azure says, in obstore's words.

    Raises:
        ConfigError: It names no account.
    """
    told = {name.lower(): value for name, value in re.findall(r"(\w+)=([^;]*)", text)}
    config = {
        "account_name": told.get("accountname"),
        "account_key": told.get("accountkey"),
        "sas_key": told.get("sharedaccesssignature"),
        "endpoint": told.get("blobendpoint"),
    }
    if config["endpoint"] and not config["account_name"]:  # as where there is a SAS and no name
        config["account_name"] = (urlsplit(config["endpoint"]).hostname or "").partition(".")[0]
    if not config["account_name"]:
        raise ConfigError(
            f"{_CONNECTION_STRING} names no account; copy it anew from the access keys of the "
            "storage account"
        )
    if not config["endpoint"] and (suffix := told.get("endpointsuffix")):
        config["endpoint"] = f"https://{config['account_name']}.blob.{suffix}"
    return {name: value for name, value in config.items() if value}


_OPENERS: Mapping[str, Callable[[str, Access], ObjectStore]] = {"s3": _s3, "gs": _gs, "az": _az}


def _opened(
    url: str,
    config: Mapping[str, Any],
    endpoints: Iterable[str | None],
    provider: Callable[[], Any] | None,
) -> ObjectStore:
    """Open a bucket; without encryption only where somebody wrote `http://` as its address."""
    options: dict[str, Any] = {"config": {name: value for name, value in config.items() if value}}
    if any(endpoint and endpoint.startswith("http://") for endpoint in endpoints):
        options["client_options"] = {"allow_http": True}
    if provider:
        options["credential_provider"] = provider
    store: ObjectStore = from_url(url, **options)
    return store
