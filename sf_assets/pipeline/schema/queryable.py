"""Whether objects answer a query at all: a describe that says so is no proof.

Some want a certain filter (`ContentDocumentLink`, `Vote`), some refuse a second page
(`EntityDefinition`). One cheap query each, five to a call, finds that out.
"""

from collections.abc import Mapping

from sf_assets.describe import ObjectInfo
from sf_assets.errors import SalesforceError
from sf_assets.salesforce.responses import NOT_OF_THE_QUESTION
from sf_assets.salesforce.rest import RestApi
from sf_assets.salesforce.soql import Query

_PASSING_CODES = frozenset({"QUERY_TIMEOUT", "OPERATION_TOO_LARGE"})


def refusals(
    rest: RestApi, asked: Mapping[str, tuple[ObjectInfo, Query]]
) -> dict[str, SalesforceError]:
    """Ask each object for a row.

    Args:
        rest: The org.
        asked: By a key of the caller's: an object, and how it is to be read.

    Returns:
        What the org said to those that gave none.
    """
    queries = {key: _cheap(info, query) for key, (info, query) in asked.items()}
    return {key: answer.error for key, answer in rest.query_each(queries) if answer.error}


def is_passing(error: SalesforceError) -> bool:
    """Whether another time may bring another answer, so that nothing is known of the object."""
    return isinstance(error, NOT_OF_THE_QUESTION) or error.code in _PASSING_CODES


def _cheap(info: ObjectInfo, query: Query) -> str:
    """A query that is refused where reading would be.

    What users keep records in is replicateable, and has pages. Of the others all Ids are asked for,
    as far as they fill a page: they may refuse to begin what has a second one.
    """
    if info.replicateable:
        return f"{query.over(None, None)} LIMIT 1"
    return query.only(("Id",)).over(None, None)
