"""Reading records by Id."""

import re
from collections.abc import Sequence

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.messages import Request
from sf_assets.emulator.org import Org
from sf_assets.emulator.rows_sql import JsonRows
from sf_assets.emulator.schema import SObject

_CHILDREN = 2000
_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)


def record_texts(
    org: Org, request: Request, sobject: SObject, names: Sequence[str], ids: Sequence[str]
) -> dict[str, str]:
    """Records as JSON text, by Id; those that are not there or deleted are left out.

    Args:
        org: Where they are.
        request: Who asks.
        sobject: Their object.
        names: Fields wanted; none for all.
        ids: Their Ids, in 18 characters.

    Raises:
        ApiError: INVALID_FIELD.
    """
    chosen = names or [field.name for field in sobject.fields.values()]
    for name in names:
        if not _NAME.fullmatch(name):
            message = f"No such column '{name}' on sobject of type {sobject.name}"
            raise ApiError(400, "INVALID_FIELD", message)
    listed = ", ".join(f"'{key}'" for key in ids)
    plan = org.compile(f"SELECT {', '.join(chosen)} FROM {sobject.name} WHERE Id IN ({listed})")
    sql = JsonRows(request.base, _CHILDREN).keyed_statement(plan)
    return {str(key): str(text) for key, text in org.rows(request, sql, plan.bound(sql))}
