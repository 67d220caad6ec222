"""(f) The emulator itself: how fast it delivers, how soon it answers, how much it holds.

`python -m bench.emulator` asks for all opportunities of an org, reads them, and reads them again.
"""

import http.client
import os
from typing import Any
from urllib.parse import urlsplit

from bench.export import FIELDS
from bench.measure import Stopwatch, say

_CHUNK = 1 << 20


def main() -> None:
    """Create a job and read its pages twice: as they are rendered, and once they are there."""
    from sf_assets.salesforce.client import connect
    from sf_assets.settings import load_credentials

    client = connect(load_credentials(os.environ))
    session, bulk = client.session, client.bulk
    watch = Stopwatch()
    job = bulk.create(f"SELECT {', '.join(FIELDS)} FROM Opportunity")
    while not job.ended:  # more often than the client would
        job = bulk.get(job.id)
    rendered = watch.seconds
    instance = urlsplit(session.token.instance_url)
    connection = http.client.HTTPConnection(instance.netloc)
    path = f"/services/data/v{client.version}/jobs/query/{job.id}/results"
    headers = {
        "Authorization": f"Bearer {session.token.access_token}",
        "Accept-Encoding": "identity",
    }
    size = _read_all(connection, path, headers)
    first = watch.seconds
    again = Stopwatch()
    assert _read_all(connection, path, headers) == size
    seconds = again.seconds
    connection.close()
    bulk.delete(job.id)
    say(
        rows=job.rows, mb=size / 10**6, render_seconds=rendered, first_mb_s=size / 10**6 / first,
        again_mb_s=size / 10**6 / seconds,
    )  # fmt: skip


def _read_all(connection: http.client.HTTPConnection, path: str, headers: Any) -> int:
    """Read all pages, each naming the next; their bytes."""
    buffer = memoryview(bytearray(_CHUNK))
    size, locator = 0, ""
    while locator != "null":
        connection.request("GET", path + (f"?locator={locator}" if locator else ""), None, headers)
        answer = connection.getresponse()
        assert answer.status == http.client.OK
        while count := answer.readinto(buffer):
            size += count
        locator = answer.headers["Sforce-Locator"]
    return size


if __name__ == "__main__":
    main()
