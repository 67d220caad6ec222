"""What an address may be used for, and how one is shown."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_SALESFORCE = (
    "salesforce.com",
    "force.com",
    "cloudforce.com",
    "database.com",
    "salesforce.mil",
    "cloudforce.mil",
    "sfcrmproducts.cn",
    "sfcrmapps.cn",
)
"""Domains under which Salesforce keeps its orgs."""

_CREDENTIALS = re.compile(r"(://)[^/?#\s]*@")
_SECRETS = re.compile(
    r"(?i)([?&][^=&#\s]*(?:password|secret|token|key|sig|credential)[^=&#]*=)[^&#\s]*"
)


def shown(url: str) -> str:
    """An address as it may be printed: without the user and password that it may hold."""
    return _SECRETS.sub(r"\1…", _CREDENTIALS.sub(r"\1…@", url))


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine, so that nothing sent to it can be overheard."""
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(url: str) -> bool:
    """Whether secrets may be sent to an address: by https, or without leaving this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def may_belong(login: str, instance: str) -> bool:
    """Whether an org that was logged in to at one address may say that it is at another.

    It may within its own domain and Salesforce's; on this machine, only if it was there before.
    """
    here, there = urlsplit(login).hostname or "", urlsplit(instance).hostname or ""
    if not there or not is_private(instance):
        return False
    if is_loopback(there):
        return is_loopback(here)
    own = [
        here,
        *([here.partition(".")[2]] if here.count(".") > 1 and not _is_number(here) else []),
    ]
    return any(there == domain or there.endswith(f".{domain}") for domain in (*own, *_SALESFORCE))


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
