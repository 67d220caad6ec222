"""S3 and Google Cloud Storage in memory, as a process: `python -m sf_assets_tests.moto_process`.

It prints one line of JSON, `{"s3": PORT, "gs": PORT}`, and ends when its standard input does, so
that it never outlives whoever started it. A bucket is there under both ports. Each line of its
input, `[BUCKET, FOLDER, COUNT]`, makes so many empty objects.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SIGNED = "AWS4-HMAC-SHA256 Credential=gs/20260101/us-east-1/s3/aws4_request"


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as both clouds keep them


def as_google(app: Wsgi) -> Wsgi:
    """Google's XML API is S3's, but for who signs, and for versions that are called generations."""

    def translated(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        environ["HTTP_AUTHORIZATION"] = _SIGNED
        generation = environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None)
        if generation == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        elif generation:
            environ["HTTP_IF_MATCH"] = f'"{int(generation):032x}"'
        if storage_class := environ.pop("HTTP_X_GOOG_STORAGE_CLASS", None):
            environ["HTTP_X_AMZ_STORAGE_CLASS"] = storage_class

        def answered(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            tag = next((value for name, value in headers if name.lower() == "etag"), "")
            number = int(tag.strip('"').partition("-")[0] or "0", 16)
            return start(status, [*headers, ("x-goog-generation", str(number))], *more)

        return app(environ, answered)

    return translated


def _serve(app: Wsgi) -> BaseWSGIServer:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _fill(bucket: str, folder: str, count: int) -> None:
    (backend,) = (found["aws"] for found in s3_backends.values() if bucket in found["aws"].buckets)
    for number in range(count):
        backend.put_object(bucket, f"{folder}/{number:06d}.json", b"")


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app: Wsgi = DomainDispatcherApplication(create_backend_app)
    ports = {"s3": _serve(app).port, "gs": _serve(as_google(app)).port}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        _fill(*json.loads(line))
        sys.stdout.write("filled\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
