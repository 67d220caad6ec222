"""What resources of dagster-aws and dagster-gcp know of a bucket, or of BigQuery."""

from typing import Any

from sf_assets.errors import ConfigError
from sf_assets.storage.bucket import Access


def access_of(resource: Any) -> Access:
    """How a bucket is reached and entered with a resource of its cloud.

    Args:
        resource: An `S3Resource` of dagster-aws or a `GCSResource` of dagster-gcp.

    Raises:
        ConfigError: It is of another kind, or has no credentials.
    """
    for kind in type(resource).__mro__:
        match kind.__module__.partition(".")[0], kind.__name__:
            case "dagster_aws", "S3Resource":
                return _aws(resource)
            case "dagster_gcp", "GCSResource":
                return _google(resource)
    raise ConfigError(
        f"the storage's credentials are a {type(resource).__name__}; give it an S3Resource of "
        "dagster-aws or a GCSResource of dagster-gcp, or none"
    )


def _aws(resource: Any) -> Access:
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
        raise ConfigError(f"the storage's S3Resource cannot be used: {error}") from None
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
    kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(resource).__mro__}
    if ("dagster_gcp", "BigQueryResource") not in kinds:
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
