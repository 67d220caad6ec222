"""What resources of dagster-aws and dagster-gcp know of a bucket, of BigQuery or of Redshift."""

from typing import Any
from urllib.parse import quote, urlsplit

from sf_assets.errors import ConfigError
from sf_assets.storage.bucket import Access


def access_of(resource: Any) -> Access:
    """How a bucket is reached and entered with a resource of its cloud.

    Args:
        resource: An `S3Resource` of dagster-aws or a `GCSResource` of dagster-gcp.

    Raises:
        ConfigError: It is of another kind, or has no credentials.
    """
    if _is(resource, "dagster_aws", "S3Resource"):
        return _aws(resource, "storage")
    if _is(resource, "dagster_gcp", "GCSResource"):
        return _google(resource)
    raise ConfigError(
        f"the storage's credentials are a {type(resource).__name__}; give it an S3Resource of "
        "dagster-aws or a GCSResource of dagster-gcp, or none"
    )


def _is(resource: Any, package: str, name: str) -> bool:
    kinds = ((kind.__module__.partition(".")[0], kind.__name__) for kind in type(resource).__mro__)
    return (package, name) in kinds


def _aws(resource: Any, whose: str) -> Access:
    from boto3 import Session
    from botocore.exceptions import BotoCoreError

    from sf_assets.storage.bucket import AwsCredentials

    try:
        session = Session(
            aws_access_key_id=resource.aws_access_key_id,
            aws_secret_access_key=resource.aws_secret_access_key,
            aws_session_token=resource.aws_session_token,
            region_name=resource.region_name,
            profile_name=resource.profile_name,
        )
    except BotoCoreError as error:
        raise ConfigError(f"the {whose}'s S3Resource cannot be used: {error}") from None
    return Access(
        endpoint=resource.endpoint_url,
        region=resource.region_name,
        credentials=AwsCredentials(session),
    )


def _google(resource: Any) -> Access:
    from google.auth.exceptions import GoogleAuthError

    from sf_assets.storage.bucket import GoogleCredentials

    try:
        client = resource.get_client()
    except (GoogleAuthError, OSError) as error:
        raise ConfigError(f"the storage's GCSResource cannot be used: {error}") from None
    return Access(credentials=GoogleCredentials(client._credentials))  # noqa: SLF001 (no other way)


def bigquery_access_of(resource: Any) -> tuple[Any, str | None]:
    """Credentials of google-auth, and the location, that a `BigQueryResource` of dagster-gcp has.

    Raises:
        ConfigError: It is of another kind, or has no credentials.
    """
    if not _is(resource, "dagster_gcp", "BigQueryResource"):
        raise ConfigError(
            f"the warehouse's credentials are a {type(resource).__name__}; give it a "
            "BigQueryResource of dagster-gcp, or none"
        )
    from google.auth.exceptions import GoogleAuthError

    try:
        with resource.get_client() as client:
            return client._credentials, resource.location  # noqa: SLF001 (no other way)
    except (GoogleAuthError, OSError, ValueError) as error:
        raise ConfigError(f"the warehouse's BigQueryResource cannot be used: {error}") from None


def redshift_access_of(resource: Any, url: str) -> tuple[str, Access | None]:
    """The address of a Redshift, and how its staging folder is entered, by a resource.

    Args:
        resource: Of dagster-aws: an `S3Resource`, which is of the staging folder, or a
            `RedshiftClientResource`, which has host, user, password and database.
        url: What else is known of the address.

    Raises:
        ConfigError: It is of another kind, or cannot be used.
    """
    if _is(resource, "dagster_aws", "S3Resource"):
        return url, _aws(resource, "warehouse")
    if not _is(resource, "dagster_aws", "RedshiftClientResource"):
        raise ConfigError(
            f"the warehouse's credentials are a {type(resource).__name__}; give it an S3Resource "
            "or a RedshiftClientResource of dagster-aws, or none"
        )
    login = ":".join(quote(text, safe="") for text in (resource.user, resource.password) if text)
    host = f"{login}@{resource.host}:{resource.port}"
    return urlsplit(url)._replace(netloc=host, path=f"/{resource.database or ''}").geturl(), None
