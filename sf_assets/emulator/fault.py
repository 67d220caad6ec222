"""One failure on order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        method: HTTP method of the requests it hits; None for any.
        path: Regular expression, searched in path and query.
        nth: The first matching request to hit, from 1.
        times: How many to hit from there; 0 for all.
        delay: Seconds before anything else happens.
        status: Answer with this status instead of working.
        code: Error code of that answer, with `message`: the REST error body is made of both.
        message: Text of the error.
        body: Other body of that answer: text, or a JSON value.
        headers: Headers to set; null removes one.
        lower_case_headers: Whether header names are sent in lower case.
        truncate_after: Send only so many bytes of the encoded body; the framing is in order.
        reset_after: Reset the connection after so many bytes of the encoded body.
        job_state: How the Bulk job ends that the request creates: `Failed`, `Aborted`, or
            `InProgress` for ever.
        job_message: The `errorMessage` of a failed job.
    """

    method: str | None = None
    path: str = ""
    nth: int = 1
    times: int = 1
    delay: float = 0.0
    status: int | None = None
    code: str | None = None
    message: str = ""
    body: Any = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    lower_case_headers: bool = False
    truncate_after: int | None = None
    reset_after: int | None = None
    job_state: str | None = None
    job_message: str | None = None
