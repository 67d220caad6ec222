"""`sf-assets emulator`: run an org in the foreground."""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click

from sf_assets.emulator.settings import Credentials, Settings

Command = Callable[..., Any]
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_ANY = click.Path(path_type=Path, exists=True)
_DEFAULTS = Settings()
_USER = Credentials()
_TOLD_TO_STOP = 130
_SECRETS = ("password", "security_token", "client_secret")
_LOGIN = "SALESFORCE_LOGIN_URL="
_MARK = "# made by=sf-assets emulator"
_OURS = f"{_MARK}, which writes its own lines anew at every start; others stay\n"
"""The first line of a file of ours. The `=` keeps readers content that split every line at it."""


class _RefusedError(click.ClickException):
    """Ends the command with one line, which begins like those of all other commands."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.message}", file, err=True)


def _rows(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> Any:
    """`OBJECT=N` pairs as a dictionary."""
    pairs = [value.partition("=") for value in values]
    if not all(name and count.isdecimal() for name, _, count in pairs):
        raise click.BadParameter("must look like Opportunity=100000")
    return {name: int(count) for name, _, count in pairs}


@click.command("emulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port; 0 for any that is free.")
@click.option("--seed", default=0, show_default=True, help="The same seed, the same records.")
@click.option("--scale", default=1.0, show_default=True, help="1 is the demo org.")
@click.option("--rows", multiple=True, callback=_rows, metavar="OBJECT=N", help="Of one object.")
@click.option(
    "--describe", "describes", type=_ANY, multiple=True, help="Folder or files with describes."
)
@click.option("--load", type=_FOLDER, help="Folder with records, CSV or JSON, one file an object.")
@click.option("--custom-objects", default=0, metavar="N", help="Add N custom objects.")
@click.option(
    "--virtual",
    multiple=True,
    callback=_rows,
    metavar="OBJECT__c=N",
    help="Add a custom object of N rows that are computed, not stored.",
)
@click.option("--store", type=_FILE, help="Keep the org in this file; it lives on after a restart.")
@click.option("--live", default=0.0, metavar="RATE", help="Changes a second by the org's users.")
@click.option(
    "--job-seconds",
    default=_DEFAULTS.job_seconds,
    show_default=True,
    help="Time a Bulk job waits in the queue.",
)
@click.option(
    "--job-seconds-per-100k",
    default=_DEFAULTS.job_seconds_per_100k,
    show_default=True,
    help="Least time for 100,000 rows.",
)
@click.option(
    "--page-rows",
    default=_DEFAULTS.page_rows,
    show_default=True,
    help="Rows in a Bulk result page.",
)
@click.option(
    "--result-pages",
    type=click.Choice(["guide", "postman", "chunks", "off"]),
    default=_DEFAULTS.result_pages,
    show_default=True,
    help="Shape of the parallel result links; off for an older org.",
)
@click.option(
    "--token-seconds", default=_DEFAULTS.token_seconds, show_default=True, help="Life of a session."
)
@click.option(
    "--daily-api-requests",
    default=_DEFAULTS.daily_api_requests,
    show_default=True,
    metavar="N",
    help="Calls in 24 hours.",
)
@click.option(
    "--daily-query-jobs",
    default=_DEFAULTS.daily_query_jobs,
    show_default=True,
    metavar="N",
    help="Bulk jobs in 24 hours.",
)
@click.option(
    "--daily-query-kb",
    default=_DEFAULTS.daily_query_kb,
    show_default=True,
    metavar="N",
    help="Kilobytes of Bulk results in 24 hours.",
)
@click.option(
    "--replication-days",
    default=_DEFAULTS.replication_days,
    show_default=True,
    metavar="N",
    help="How far back /updated and /deleted reach.",
)
@click.option("--username", default=_USER.username, show_default=True)
@click.option("--client-id", default=_USER.client_id, show_default=True)
@click.option("--jwt-key", type=_ANY, help="PEM of the certificate that JWT logins must match.")
@click.option(
    "--clock-skew", default=0.0, metavar="SECONDS", help="How far the org's clock is off."
)
@click.option("--faults", is_flag=True, help="Serve /_faults and /_control.")
@click.option("--env-file", type=_FILE, help="Write the credentials here once it is ready.")
def emulator_command(env_file: Path | None, clock_skew: float, **options: Any) -> None:
    """Run a Salesforce org on this machine.

    Prints its address and the credentials as environment variables, then serves until it is
    interrupted. Other secrets than the usual ones come from EMULATOR_PASSWORD,
    EMULATOR_SECURITY_TOKEN and EMULATOR_CLIENT_SECRET: options would show in the list of processes.
    """
    import signal
    import threading

    from sf_assets.emulator.clock import Clock
    from sf_assets.emulator.server import Emulator

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    if env_file is not None:
        _refuse_anothers(env_file)
    try:
        emulator = Emulator(clock=Clock(skew=clock_skew), settings=_settings(options), **options)
        emulator.start()
    except (OSError, ValueError) as error:
        raise _RefusedError(str(error)) from None
    try:
        lines = "".join(f"{name}={value}\n" for name, value in emulator.environment.items())
        click.echo(lines, nl=False)
        if env_file is not None:
            _write(env_file, lines)
        stopped.wait()
    except OSError as error:
        raise _RefusedError(f"cannot write {env_file}: {error.strerror}") from None
    finally:
        emulator.stop()
    click.echo("stopped", err=True)
    sys.exit(_TOLD_TO_STOP)


def _refuse_anothers(path: Path) -> None:
    """Leave a file alone that was not written here, or has another org's credentials by now."""
    with contextlib.suppress(OSError):
        text = path.read_text(encoding="utf-8", errors="replace")
        if text and not (text.startswith(_MARK) and f"\n{_LOGIN}http://" in text):
            raise _RefusedError(
                f"{path} was not written by the emulator, and is left as it is; name another file, "
                "or remove it"
            )


def _write(path: Path, lines: str) -> None:
    """Write the credentials for their owner alone, all at once: somebody may wait for them.

    What somebody has added to a file of ours stays.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    names = {line.partition("=")[0] for line in (_OURS + lines).splitlines()}
    added = [line for line in old.splitlines(keepends=True) if line.partition("=")[0] not in names]
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(new, mode, 0o600), "w", encoding="utf-8") as file:
        file.writelines([_OURS, lines, *added])
    new.replace(path)


def _public_key(path: Path) -> str:
    """The public key in a file, by itself or in a certificate, as PEM.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds neither.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )
    from cryptography.x509 import load_pem_x509_certificate

    pem = path.read_bytes()
    try:
        if b"BEGIN CERTIFICATE" in pem:
            key = load_pem_x509_certificate(pem).public_key()
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        load_pem_public_key(pem)
        return pem.decode()
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path}: neither a certificate nor a public key, as PEM") from None


def _settings(options: dict[str, Any]) -> Settings:
    """Take the options that say how the org behaves out of the others."""
    key = options.pop("jwt_key")
    secrets = {name: os.environ.get(f"EMULATOR_{name.upper()}") for name in _SECRETS}
    credentials = Credentials(
        username=options.pop("username"),
        client_id=options.pop("client_id"),
        **{name: secret for name, secret in secrets.items() if secret},
        jwt_key=_public_key(key) if key else None,
    )
    behaviour = (
        "token_seconds", "daily_api_requests", "daily_query_jobs", "daily_query_kb",
        "replication_days", "job_seconds", "job_seconds_per_100k", "page_rows", "result_pages",
        "faults",
    )  # fmt: skip
    describes = options.pop("describes")
    is_folder = len(describes) == 1 and describes[0].is_dir()
    options["describes"] = describes[0] if is_folder else describes or None
    return Settings(credentials, **{name: options.pop(name) for name in behaviour})
