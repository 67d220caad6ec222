"""What a storage says when it refuses, in one line, and what to do about it."""

import re
from typing import NamedTuple

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from sf_assets.addresses import shown

_BRIEF = 300
_XML = r"<%s>([^<]*)</"
_PROVIDER = re.compile(r"(?s).*credential provider: ")
"""What obstore puts before an error of whoever was asked for credentials."""

_OURS = "ConfigError: "
"""How one of our own begins, which says all there is to say."""

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")


class _Refusal(NamedTuple):
    """What to do about an answer that holds one of some words."""

    signs: tuple[str, ...]
    advice: str


_REFUSALS = (
    _Refusal(_NO_BUCKET, "create the bucket, or correct SF_ASSETS_STORAGE_URL"),
    _Refusal(
        ("ExpiredToken", "RequestExpired", "has expired", "expired or revoked"),
        "its credentials have expired: log in anew, or use a role that renews them; nothing was "
        "lost, run again",
    ),
    _Refusal(
        ("credential provider: ",),
        "its credentials cannot be had: log in anew (`aws sso login`, `gcloud auth "
        "application-default login`), or correct them; nothing was lost, run again",
    ),
    _Refusal(
        ("169.254.169.254", "metadata.google", "token request", "Account must be"),
        "no credentials for it are set: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "AWS_PROFILE, for s3; GOOGLE_APPLICATION_CREDENTIALS for gs; AZURE_STORAGE_ACCOUNT_NAME "
        "and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING, for az",
    ),
    _Refusal(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthenticationFailed"),
        "its credentials are not known there: correct them, and the endpoint if one is set",
    ),
    _Refusal(
        ("redirect without LOCATION", "PermanentRedirect", "AuthorizationHeaderMalformed"),
        "set SF_ASSETS_STORAGE_REGION to the region of the bucket",
    ),
    _Refusal(
        ("KMS", "kms:"),
        "let its credentials use the key: kms:GenerateDataKey and kms:Decrypt",
    ),
    _Refusal(
        ("error sending request", "dns error", "Connection refused", "connection closed"),
        "nothing answers there: check SF_ASSETS_STORAGE_URL, SF_ASSETS_STORAGE_ENDPOINT if it is "
        "set, and the network; nothing was lost, run again",
    ),
)
"""The first whose words are found counts."""


def lacks_bucket(error: Exception) -> bool:
    """Whether it is the bucket that is not there, not an object in it."""
    return any(sign in str(error) for sign in _NO_BUCKET)


def is_conflict(error: Exception) -> bool:
    """Whether S3 took another request of the same moment first, and says nothing of what is there.

    That is told as if there were an object.
    """
    return "ConditionalRequestConflict" in str(error)


def brief(error: Exception) -> str:
    """What a storage said: its code and message where it answered with XML, else its first line."""
    text = str(error).partition("\n\nDebug source")[0]
    text = _PROVIDER.sub("", text).removeprefix(_OURS)
    told = [
        found[1].strip() for tag in ("Code", "Message") if (found := re.search(_XML % tag, text))
    ]
    return " ".join((": ".join(told) or shown(text)).split())[:_BRIEF]


def advice(error: Exception) -> str:
    """What to do about it."""
    text = str(error)
    if _PROVIDER.sub("", text).startswith(_OURS):
        return "nothing was sent"
    for refusal in _REFUSALS:
        if any(sign in text for sign in refusal.signs):
            return refusal.advice
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or " 403 " in text:
        return (
            "let its credentials list, read, write and delete there; `sf-assets doctor` tries each"
        )
    return "check SF_ASSETS_STORAGE_URL, its permissions and the space left"
