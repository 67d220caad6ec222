"""Records with their children in one call: `/composite/tree/X`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sf_assets.emulator.errors import ApiError, malformed_json, not_found
from sf_assets.emulator.messages import Reply, Request, json_reply
from sf_assets.emulator.org import Org
from sf_assets.emulator.records import Outcome, Transaction
from sf_assets.emulator.schema import SObject

_MOST = 200
_DEEPEST = 5


@dataclass
class _Branch:
    """One record of the tree.

    Attributes:
        link: Field that refers to the parent; empty at the root.
    """

    sobject: SObject
    reference: str
    values: dict[str, Any]
    link: str
    parent: "_Branch | None"
    depth: int
    outcome: Outcome = field(default_factory=Outcome)


class TreeResources:
    """sObject Tree."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def create(self, request: Request, object_name: str) -> Reply:
        """`POST /composite/tree/X`: all records are created, or none."""
        sobject = self._org.schema.get(object_name)
        if sobject is None:
            raise not_found()
        branches = list(self._branches(sobject, request.json_object()))
        if len(branches) > _MOST:
            message = f"Limit exceeded: at most {_MOST} records are allowed"
            raise ApiError(400, "LIMIT_EXCEEDED", message)
        failed = self._org.write(request, lambda t: _plant(t, branches))
        if failed:
            errors = [
                {"referenceId": b.reference, "errors": [b.outcome.error.row()]}
                for b in branches
                if b.outcome.error is not None
            ]
            return json_reply({"hasErrors": True, "results": errors}, 400)
        results = [{"referenceId": b.reference, "id": b.outcome.id} for b in branches]
        return json_reply({"hasErrors": False, "results": results}, 201)

    def _branches(
        self,
        sobject: SObject,
        document: Any,
        link: str = "",
        parent: _Branch | None = None,
    ) -> Iterator[_Branch]:
        """The records of a list and of the lists inside them, parents first."""
        records = document.get("records") if isinstance(document, dict) else None
        if not isinstance(records, list):
            raise malformed_json("records must be a list")
        for record in records:
            attributes = record.get("attributes") if isinstance(record, dict) else None
            if not isinstance(attributes, dict) or not attributes.get("referenceId"):
                message = "Each record needs attributes with a type and a referenceId"
                raise ApiError(400, "INVALID_INPUT", message)
            depth = parent.depth + 1 if parent else 1
            if depth > _DEEPEST:
                raise ApiError(400, "LIMIT_EXCEEDED", f"At most {_DEEPEST} levels are allowed")
            lists = {n: v for n, v in record.items() if isinstance(v, dict) and "records" in v}
            values = {n: v for n, v in record.items() if n not in lists}
            reference = str(attributes["referenceId"])
            branch = _Branch(sobject, reference, values, link, parent, depth)
            yield branch
            for name, children in lists.items():
                child, reference_field = self._child(sobject, name)
                yield from self._branches(child, children, reference_field, branch)

    def _child(self, sobject: SObject, name: str) -> tuple[SObject, str]:
        """Object and reference of the children that a relationship name means."""
        for relationship in sobject.document["childRelationships"]:
            if (relationship["relationshipName"] or "").lower() == name.lower():
                child = self._org.schema.get(relationship["childSObject"])
                if child is not None:
                    return child, str(relationship["field"])
        message = f"No such relationship '{name}' on sobject of type {sobject.name}"
        raise ApiError(400, "INVALID_FIELD", message)


def _plant(transaction: Transaction, branches: list[_Branch]) -> bool:
    """Create the records level by level; whether any was refused, and so all are undone."""
    for depth in range(1, _DEEPEST + 1):
        level = [b for b in branches if b.depth == depth]
        for name in dict.fromkeys(b.sobject.name for b in level):
            chosen = [b for b in level if b.sobject.name == name]
            for branch in chosen:
                if branch.parent is not None:
                    branch.values[branch.link] = branch.parent.outcome.id
            outcomes = transaction.insert(name, [b.values for b in chosen])
            for branch, outcome in zip(chosen, outcomes, strict=True):
                branch.outcome = outcome
        if any(b.outcome.error is not None for b in level):
            transaction.rollback()
            return True
    return False
