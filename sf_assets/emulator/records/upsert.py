"""Insert or update, as an external Id decides."""

from collections.abc import Mapping, Sequence
from typing import Any

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.records.transaction import Outcome, Transaction
from sf_assets.emulator.records.validation import find_by_key
from sf_assets.emulator.schema import Field, SObject


def upsert(
    transaction: Transaction, sobject: SObject, key: Field, rows: Sequence[Mapping[str, Any]]
) -> list[Outcome]:
    """Update the records that an external Id finds, and create the others.

    Args:
        transaction: Where.
        sobject: Object of the records.
        key: The field that identifies them; `Id` itself is allowed.
        rows: Values by field name, the key among them.

    Returns:
        What became of each.
    """
    outcomes: list[Outcome | None] = [None] * len(rows)
    creations: list[tuple[int, Mapping[str, Any]]] = []
    changes: list[tuple[int, Mapping[str, Any]]] = []
    seen: set[Any] = set()
    for place, row in enumerate(rows):
        try:
            found = _find(transaction, sobject, key, row, seen)
        except ApiError as error:
            outcomes[place] = Outcome(error=error)
            continue
        if found is None:
            creations.append((place, _without(row, "Id")))
        else:
            changes.append((place, {**_without(row, "Id"), "Id": found}))
    for chosen, write in ((creations, transaction.insert), (changes, transaction.update)):
        results = write(sobject.name, [row for _, row in chosen])
        for (place, _), outcome in zip(chosen, results, strict=True):
            outcomes[place] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _find(
    transaction: Transaction,
    sobject: SObject,
    key: Field,
    row: Mapping[str, Any],
    seen: set[Any],
) -> str | None:
    """Id of the record that a row means, None for a new one."""
    value = next((v for n, v in row.items() if n.lower() == key.name.lower()), None)
    if key.type == "id":
        return None if value is None else str(value)
    if value is None:
        raise ApiError(400, "MISSING_ARGUMENT", f"{key.name} not specified")
    folded = str(value) if key.document["caseSensitive"] else str(value).lower()
    if folded in seen:
        raise ApiError(400, "DUPLICATE_VALUE", f"Duplicate external id specified: {value}")
    seen.add(folded)
    found = find_by_key(transaction.tables, sobject, key, str(value))
    if len(found) > 1:
        message = f"{key.name}: more than one record found for external id field: {found}"
        raise ApiError(300, "DUPLICATE_EXTERNAL_ID", message)
    return found[0] if found else None


def _without(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {n: v for n, v in row.items() if n.lower() != name.lower()}
