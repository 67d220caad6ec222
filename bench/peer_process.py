"""Run one peer in the environment made for it; only the peer and the standard library are here.

`python -I peer_process.py PEER discover|sync FOLDER` does what the peer's own command does, once
what `discover` printed is in `FOLDER/discover.out`.

The peers' code is as published. They insist on Salesforce's own login address and on TLS; so the
requests that they send there are sent to `SALESFORCE_LOGIN_URL` instead.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

OBJECT = "Opportunity"
SINCE = "1990-01-01T00:00:00Z"
"""Before all records: without it, Airbyte leaves out what is two years old, and Meltano a month."""


def redirect(login_url: str) -> None:
    """Send requests for `*.salesforce.com`, and over TLS to the org's address, to the org."""
    import requests

    org = urlsplit(login_url)
    send = requests.adapters.HTTPAdapter.send

    def redirected(adapter: Any, request: Any, *rest: Any, **more: Any) -> Any:
        url = urlsplit(request.url)
        if (url.hostname or "").endswith(".salesforce.com") or url.netloc == org.netloc:
            request.url = url._replace(scheme=org.scheme, netloc=org.netloc).geturl()
        return send(adapter, request, *rest, **more)

    requests.adapters.HTTPAdapter.send = redirected  # type: ignore[assignment, method-assign]


def airbyte(step: str, folder: Path) -> None:
    """`source-salesforce discover` and `read`: all of the object, through Bulk API 2.0."""
    config = _login() | {"start_date": SINCE, "streams_criteria": [
        {"criteria": "exacts", "value": OBJECT}]}  # fmt: skip
    arguments = ["--config", _json(folder / "config.json", config)]
    if step == "sync":
        told = [json.loads(line) for line in (folder / "discover.out").open(encoding="utf-8")]
        (streams,) = (one["catalog"]["streams"] for one in told if one["type"] == "CATALOG")
        (stream,) = (stream for stream in streams if stream["name"] == OBJECT)
        chosen = {
            "stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite",
        }  # fmt: skip
        arguments += ["--catalog", _json(folder / "catalog.json", {"streams": [chosen]})]
    command = "read" if step == "sync" else "discover"
    _command("source_salesforce.run", [command, *arguments], "run")


def meltano(step: str, folder: Path) -> None:
    """`tap-salesforce --discover` and with its catalogue: all fields, through Bulk API 2.0."""
    config = _login() | {
        "start_date": SINCE, "api_type": "BULK2", "select_fields_by_default": True,
        "streams_to_discover": [OBJECT],
    }  # fmt: skip
    arguments = ["--config", _json(folder / "config.json", config)]
    if step == "discover":
        arguments.append("--discover")
    else:
        catalog = json.loads((folder / "discover.out").read_text(encoding="utf-8"))
        for entry in catalog["streams"][0]["metadata"]:
            if entry["breadcrumb"] == []:
                entry["metadata"]["selected"] = True
        arguments += ["--catalog", _json(folder / "catalog.json", catalog)]
    _command("tap_salesforce", arguments, "main")


def dlt(step: str, folder: Path) -> None:
    """The core source for REST APIs, told what Salesforce's query is like, to a DuckDB table.

    The verified source for Salesforce cannot be measured here: it reads by the first Bulk API,
    which the emulator lacks, and where that is switched off it fails after one page of REST.
    """
    import requests

    url, version = os.environ["SALESFORCE_LOGIN_URL"], "v62.0"
    granted = requests.post(
        f"{url}/services/oauth2/token", _login() | {"grant_type": "refresh_token"}, timeout=60
    ).json()
    bearer = {"Authorization": f"Bearer {granted['access_token']}"}
    described = folder / "discover.out"
    if step == "discover":
        address = f"{url}/services/data/{version}/sobjects/{OBJECT}/describe"
        print(requests.get(address, headers=bearer, timeout=60).text)
        return

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    library = import_module("dlt")
    rest_api = import_module("dlt.sources.rest_api")
    fields = json.loads(described.read_text(encoding="utf-8"))["fields"]
    query = f"SELECT {', '.join(field['name'] for field in fields)} FROM {OBJECT}"
    source = rest_api.rest_api_source({
        "client": {
            "base_url": url, "headers": bearer,
            "paginator": {"type": "json_link", "next_url_path": "nextRecordsUrl"},
        },
        "resources": [{
            "name": OBJECT.lower(), "primary_key": "Id", "write_disposition": "merge",
            "endpoint": {
                "path": f"services/data/{version}/queryAll", "params": {"q": query},
                "data_selector": "records",
            },
        }],
    })  # fmt: skip
    pipeline = library.pipeline(
        "peer", pipelines_dir=str(folder / "dlt"), dataset_name="salesforce",
        destination=library.destinations.duckdb(str(folder / "peer.duckdb")),
    )  # fmt: skip
    pipeline.run(source)


def _login() -> dict[str, Any]:
    names = ("client_id", "client_secret", "refresh_token")
    return {name: os.environ[f"SALESFORCE_{name.upper()}"] for name in names}


def _json(path: Path, document: Any) -> str:
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def _command(module: str, arguments: list[str], entry: str) -> None:
    """What the peer's console script does."""
    sys.argv = [module, *arguments]
    getattr(import_module(module), entry)()


if __name__ == "__main__":
    redirect(os.environ["SALESFORCE_LOGIN_URL"])
    peers = {"airbyte": airbyte, "meltano": meltano, "dlt": dlt}
    peers[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
