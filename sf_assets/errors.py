"""Every failure that a user of this project can meet, in one small tree.

A message says what was attempted, what was answered and what to do next. It never holds a secret
or the value of a record.
"""

from http import HTTPStatus


class SfAssetsError(Exception):
    """Root of all errors raised on purpose by this project."""


class ConfigError(SfAssetsError):
    """Settings, catalogue, SOQL or gold files say something that cannot be done."""


class WrongOrgError(SfAssetsError):
    """A storage or a warehouse holds another org's data."""


class SalesforceError(SfAssetsError):
    """The org refused or failed a request.

    Attributes:
        status: HTTP status, or None when no answer came.
        code: Salesforce's error code, such as `INVALID_FIELD`; empty when it gave none.
    """

    def __init__(self, message: str, *, status: int | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def not_found(self) -> bool:
        """Whether the org does not have what was asked for."""
        return self.status == HTTPStatus.NOT_FOUND


class OrgUnreachableError(SalesforceError):
    """No Salesforce answers at the address: wrong URL, no network, or the org is down."""


class LoginError(SalesforceError):
    """The org refused the credentials."""


class OrgRefusedError(LoginError):
    """The org knows the user and lets them do nothing: whatever is asked, it would refuse."""


class LimitExceededError(SalesforceError):
    """A limit of the org is used up: API calls, Bulk jobs or Bulk volume."""


class BudgetExhaustedError(LimitExceededError):
    """A call was not sent, because it would have used what is reserved for others."""


class ObjectUnavailableError(SalesforceError):
    """The org does not have the object, or does not let this user read it."""


class QueryTooLongError(SalesforceError):
    """A query has no room in an address, so it was not sent; Bulk API takes longer ones."""


class BulkRefusedError(SalesforceError):
    """Bulk API does not support the object or the query; REST may."""


class JobFailedError(SalesforceError):
    """A Bulk job ended Failed or Aborted, or stayed in one state for too long."""


class PageBrokenError(SalesforceError):
    """A page of results did not arrive whole, or does not hold what its header announced."""


class CountMismatchError(SalesforceError):
    """Two hand-overs of one slice disagree about the number of rows; the slice is not committed."""


class SuspiciousDeletionsError(SfAssetsError):
    """So many records seem to be gone that a lost permission is likelier than their deletion."""


class StorageError(SfAssetsError):
    """The object storage cannot be read or written."""


class BusyError(SfAssetsError):
    """Another run is at work on the same object."""


class LeftOutError(SfAssetsError):
    """A packaged gold table reads what the org, or its user, does not have; nothing is wrong."""


class HeldError(SfAssetsError):
    """A gold table waits for blocking checks of what it reads; the message says which."""


class WarehouseError(SfAssetsError):
    """The warehouse cannot be read or written."""


class WarehouseLockedError(WarehouseError):
    """Another program holds the warehouse."""


class WarehouseUnreachableError(WarehouseError):
    """The warehouse cannot be opened at all, whatever is asked of it."""


class WarehouseDamagedError(WarehouseError):
    """The warehouse's file cannot be read; a rebuild makes another from raw."""
