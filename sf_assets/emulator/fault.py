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
        request_body: Regular expression, searched in the request's body.
        probability: Share of the matching requests that count, chosen by dice; 1 for all.
        seed: Throws the dice; the same seed and the same requests are hit alike.
        nth: The first matching request to hit, from 1.
        times: How many to hit from there; 0 for all.
        delay: Seconds before anything else happens.
        status: Answer with this status instead of working.
        code: Error code of that answer, with `message`: the REST error body is made of both.
        message: Text of the error.
        body: Other body of that answer: text, or a JSON value.
        headers: Headers to set; null removes one.
        lower_case_headers: Whether header names are sent in lower case.
        date_skew: Seconds by which the `Date` header is ahead of the org's clock.
        page_shift: Send the result page that comes so many pages later; earlier if negative.
        repeat_row: Row of a result page, from 1, that is sent in place of the next one too; all
            counts agree.
        replace: Texts of the answer's body, headers left alone, and what is sent in their place:
            JSON as it is written, so that an escape can be put into a value.
        truncate_after: Send only so many bytes of the encoded body; the framing is in order.
        reset_after: Reset the connection after so many bytes of the encoded body.
        close_after: Close the connection after so many bytes, while the headers promise all.
        stall_after: Send nothing for `stall_seconds` after so many bytes of the encoded body.
        stall_seconds: How long that takes.
        job_seconds: Further seconds that the Bulk job waits which the request creates.
        job_state: How the Bulk job ends that the request creates: `Failed`, `Aborted`, or
            `InProgress` for ever.
        job_message: The `errorMessage` of a failed job.
    """

    method: str | None = None
    path: str = ""
    request_body: str = ""
    probability: float = 1.0
    seed: int = 0
    nth: int = 1
    times: int = 1
    delay: float = 0.0
    status: int | None = None
    code: str | None = None
    message: str = ""
    body: Any = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    lower_case_headers: bool = False
    date_skew: float = 0.0
    page_shift: int = 0
    repeat_row: int | None = None
    replace: Mapping[str, str] = field(default_factory=dict)
    truncate_after: int | None = None
    reset_after: int | None = None
    close_after: int | None = None
    stall_after: int | None = None
    stall_seconds: float = 60.0
    job_seconds: float = 0.0
    job_state: str | None = None
    job_message: str | None = None

    @property
    def breaks_off(self) -> bool:
        """Whether the connection ends before the answer does."""
        return self.reset_after is not None or self.close_after is not None
