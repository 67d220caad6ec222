"""Refusals, as Salesforce words them."""

from collections.abc import Sequence
from typing import Any


class ApiError(Exception):
    """A refused request or record.

    Attributes:
        status: HTTP status.
        code: Salesforce's error code: `INVALID_FIELD`.
        message: Text for the reader.
        fields: Names of the fields at fault, if any.
    """

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = list(fields)

    def body(self) -> list[dict[str, Any]]:
        """The REST error document: always a list of one."""
        document: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields:
            document["fields"] = self.fields
        return [document]

    def row(self) -> dict[str, Any]:
        """The same error as the result of one record among several."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields}


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """Nothing has that address."""
    return ApiError(404, "NOT_FOUND", message)


def not_queryable(object_name: str) -> ApiError:
    """The object is there, and nobody can query it."""
    message = f"entity type {object_name} does not support query"
    return ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)


def malformed_json(message: str) -> ApiError:
    """The body is no JSON, or not of the shape that the resource takes."""
    return ApiError(400, "JSON_PARSER_ERROR", message)
