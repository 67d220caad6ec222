"""Why an org refuses a user, and what to do about it: by code, and by text where that is vague."""

_LATER = "the org is being worked on; run again later and see status.salesforce.com"
_APP = (
    "let the user use the connected app: its policies say who is admitted; where that is "
    "`admin approved users`, give the app the user's profile or a permission set"
)
_ADDRESS = (
    "this machine's address is not trusted: add it to the login IP ranges of the user's profile, "
    "or relax IP restrictions in the connected app's policies"
)
_EXPIRED = "the password has expired; set a new one in Salesforce, then in SALESFORCE_PASSWORD"
_USER = "have the user activated or unlocked, or set another user's credentials"
_ORG = "the org is closed; set another org's SALESFORCE_LOGIN_URL and credentials"
_API = "this user or this edition has no API access: give the user the permission `API Enabled`"
_HINTS = {
    "invalid_grant": (
        "check the user and its password or token, that the connected app lets this flow and "
        "user in, and that the address is the org's My Domain for client credentials"
    ),
    "invalid_client_id": "check SALESFORCE_CLIENT_ID",
    "invalid_client": "check SALESFORCE_CLIENT_SECRET",
    "unsupported_grant_type": "this org does not offer that login flow; set other credentials",
    "inactive_user": _USER,
    "inactive_org": _ORG,
    "rate_limit_exceeded": "too many logins of this user within the hour, run again later",
    "invalid_app_access": _APP,
    "PASSWORD_EXPIRED": _EXPIRED,
    "INVALID_LOGIN": (
        "check SALESFORCE_USERNAME, SALESFORCE_PASSWORD and SALESFORCE_SECURITY_TOKEN; the "
        "password must be followed by the right token unless your address is trusted"
    ),
}
_REFUSALS = {
    "API_DISABLED_FOR_ORG": _API,
    "API_CURRENTLY_DISABLED": _LATER,
    "CLIENT_NOT_ACCESSIBLE_FOR_USER": _APP,
    "INACTIVE_OWNER_OR_USER": _USER,
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": _EXPIRED,
    "LOGIN_DURING_RESTRICTED_DOMAIN": _ADDRESS,
    "LOGIN_DURING_RESTRICTED_TIME": "the user's profile allows no login at this hour",
    "LOGIN_MUST_USE_SECURITY_TOKEN": "set SALESFORCE_SECURITY_TOKEN",
    "ORG_IN_MAINTENANCE": _LATER,
    "INSTANCE_IN_MAINTENANCE": _LATER,
    "ORG_LOCKED": _ORG,
    "PASSWORD_LOCKOUT": _USER,
    "TRIAL_EXPIRED": _ORG,
}
"""Codes by which an org refuses a user whatever is asked: at the login, or afterwards."""

_REASONS = {
    "ip restricted": _ADDRESS,
    "ip address": _ADDRESS,
    "approved": _APP,
    "app access": _APP,
    "no client credentials user": (
        "choose the user to run as in the connected app's client credentials flow"
    ),
    "not supported on this domain": "set SALESFORCE_LOGIN_URL to the org's My Domain",
    "expired access/refresh token": "the refresh token is void: let the user approve the "
    "connected app once more, and set SALESFORCE_REFRESH_TOKEN anew",
    "expired password": _EXPIRED,
    "password has expired": _EXPIRED,
    "inactive user": _USER,
    "user is inactive": _USER,
    "locked": _USER,
    "inactive org": _ORG,
    "maintenance": _LATER,
    "audience is invalid": "set SALESFORCE_LOGIN_URL to the org's My Domain, or to "
    "https://login.salesforce.com (https://test.salesforce.com for a sandbox)",
    "invalid assertion": "check that SALESFORCE_PRIVATE_KEY_FILE belongs to the certificate of "
    "the connected app, and that this machine's clock is right",
    "api is not enabled": _API,
    "not valid for use with the rest api": "give the connected app the OAuth scope `api`",
}
"""What the text of a refusal says, where its code can mean many things."""

PASSING = frozenset(
    {
        "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE",
        "SERVER_UNAVAILABLE",
        "UNKNOWN_EXCEPTION",
        "server_error",
        "temporarily_unavailable",
        "unknown_error",
    }
)
"""Codes by which a login host says that it failed, not that we did."""

_MEANS_MANY_THINGS = {"invalid_grant", "invalid_request", "access_denied", "INVALID_SESSION_ID"}


def login_advice(code: str, reason: str) -> str:
    """What to do about a refused login."""
    return advice_for(code, reason) or _HINTS.get(code, "check the credentials in .env")


def advice_for(code: str, reason: str) -> str:
    """What to do about a refusal of the user or the whole org; empty where it is another one."""
    if code in _MEANS_MANY_THINGS:
        found = (advice for text, advice in _REASONS.items() if text in reason.lower())
        return next(found, "")
    return _REFUSALS.get(code, "")
