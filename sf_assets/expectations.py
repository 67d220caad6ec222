"""What is asked of every object's tables, again and again: the checks, by name."""

RAW_CHECKS = {
    "ledger": "Every row that the org announced was read and written, slice by slice.",
    "coverage": "The windows extracted leave no gap before the watermark.",
    "freshness": "The watermark is recent; an idle object is fresh, too.",
}
SILVER_CHECKS = {
    "ids": "Every row has an Id, and no two the same.",
    "rejects": "Every value could be typed by the org's describe.",
    "references": "Every reference leads to a record, where its object is in silver.",
    "picklists": "Every picklist value is one that describe lists.",
    "schema": "Every column's field is still there, and this user may read it.",
}
