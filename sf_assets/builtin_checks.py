"""What is asked of every object's tables, again and again: the checks, by name."""

RAW_CHECKS = {
    "ledger": "Every row that the org announced was read and written, slice by slice.",
    "coverage": "The windows extracted leave no gap before the watermark.",
    "freshness": "The watermark is recent; an idle object is fresh, too.",
}
ORG_CHECKS = {
    "derived": "A sample of rows says what the org says, also where no stamp tells of a change.",
    "reconciled": "The org, silver and raw, replayed, hold the same records in the same versions.",
}
"""Of silver, asked of the org at the cost of calls: once a day, not whenever a table is loaded."""

SILVER_CHECKS = {
    "ids": "Every row has an Id, and no two the same.",
    "rejects": "Every value could be typed by the org's describe.",
    "references": "Every reference leads to a record, where its object is in silver.",
    "picklists": "Every picklist value is one that describe lists.",
    "schema": "Every column's field is still there, and is read.",
}
REMEDIES = {
    "ids": "make the table anew from raw: sf-assets rebuild",
    "rejects": "see silver.<object>_rejects, and correct these values in Salesforce",
    "references": "point the fields at records that are there, or undelete those",
    "picklists": "correct the values that describe does not list, or add them to their picklists",
    "schema": "let the user read these fields again, or leave them out in the catalogue; of those "
    "left out, sf-assets rebuild removes the column",
    "derived": "read these fields again: sf-assets refresh --derived",
    "reconciled": "see which records differ, and repair them: sf-assets reconcile --repair",
}
"""What to do when a check of silver does not pass."""
