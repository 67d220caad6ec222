"""How fields are classified, as `FieldDefinition` tells it of one object at a time.

Of that object, whose rows are worked out when they are asked for, this one question is answered.
"""

import re
from typing import Any

from sf_assets.emulator.org import Org

_QUESTION = re.compile(
    r"\s*SELECT\s+QualifiedApiName\s*,\s*ComplianceGroup\s*,\s*SecurityClassification\s+"
    r"FROM\s+FieldDefinition\s+WHERE\s+EntityDefinition\.QualifiedApiName\s*=\s*'(\w+)'\s*",
    re.IGNORECASE,
)


def classification(org: Org, text: str) -> dict[str, Any] | None:
    """The answer to a query, if it is that question; None if it is another.

    The parts of addresses, and of the names of persons, are not told: their wholes are.

    Args:
        org: The org.
        text: SOQL.
    """
    asked = _QUESTION.fullmatch(text)
    sobject = org.schema.get(asked[1]) if asked else None
    if not asked or not sobject or org.schema.get("FieldDefinition"):
        return None
    told = org.admin.classified(sobject.name)
    records = [
        {
            "attributes": {"type": "FieldDefinition"},
            "QualifiedApiName": field["name"],
            "ComplianceGroup": told.get(field["name"], (None, None))[0],
            "SecurityClassification": told.get(field["name"], (None, None))[1],
        }
        for field in sobject.document["fields"]
        if field["compoundFieldName"] in {None, field["name"]}
    ]
    return {"totalSize": len(records), "done": True, "records": records}
