"""(s) Writing to a bucket, against a plain copy of the same files to the same server.

`python -m bench.storage store FOLDER BUCKET` puts files as the pipeline does; `plain FOLDER BUCKET`
uploads them with boto3, as `aws s3 cp` does. The server is moto, in memory on this machine.
"""

import random
import sys
from pathlib import Path

from bench.measure import Result, Stopwatch, child, interleaved, median, median_ratio, say

SIZES = (*[200_000] * 40, *[2_000_000] * 20, *[24_000_000] * 6)
"""Bytes of the files: of ticks, of small objects, and of backfills, which go in several parts."""


def measure(folder: Path, copies: int, pairs: int) -> Result:
    """Write files in both ways, in turn.

    Args:
        folder: An empty folder.
        copies: How often each of the files is there.
        pairs: How often.
    """
    from sf_assets_tests.object_stores import Moto

    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(1)  # noqa: S311 (no secret)
    for number, size in enumerate(SIZES * copies):
        (folder / f"{number}.parquet").write_bytes(dice.randbytes(size))
    with Moto() as server:

        def there(what: str) -> Result:
            bucket = server.bucket("s3")
            return child("bench.storage", what, str(folder), bucket.url, env=bucket.env)

        plain, ours = interleaved(lambda: there("plain"), lambda: there("store"), pairs=pairs)
    return {
        "megabytes": ours[0]["megabytes"],
        "seconds": median(ours, "seconds"),
        "ratio": median_ratio(plain, ours, "seconds"),
    }


def store(folder: Path, url: str) -> None:
    """Put all files as the pipeline does: one after the other, large ones in parts."""
    from sf_assets.storage.store import Store

    files, there = _read(folder), Store(url)
    watch = Stopwatch()
    for name, data in files.items():
        there.put(f"raw/{name}", data)
    _say(watch, files)


def plain(folder: Path, url: str) -> None:
    """Upload all files as the cloud's own tools do."""
    import io
    import os

    import boto3

    files, bucket = _read(folder), url.removeprefix("s3://").partition("/")[0]
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    watch = Stopwatch()
    for name, data in files.items():
        client.upload_fileobj(io.BytesIO(data), bucket, f"plain/{name}")
    _say(watch, files)


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _say(watch: Stopwatch, files: dict[str, bytes]) -> None:
    say(seconds=watch.seconds, megabytes=sum(map(len, files.values())) / 1e6)


if __name__ == "__main__":
    {"store": store, "plain": plain}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
