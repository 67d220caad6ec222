"""The list of all objects, as `GET /sobjects` answers it."""

from typing import Any

from sf_assets.emulator.schema import Schema

_FLAGS = (
    "activateable",
    "associateEntityType",
    "associateParentEntity",
    "createable",
    "custom",
    "customSetting",
    "deepCloneable",
    "deletable",
    "deprecatedAndHidden",
    "feedEnabled",
    "hasSubtypes",
    "isInterface",
    "isSubtype",
    "keyPrefix",
    "label",
    "labelPlural",
    "layoutable",
    "mergeable",
    "mruEnabled",
    "name",
    "queryable",
    "replicateable",
    "retrieveable",
    "searchable",
    "triggerable",
    "undeletable",
    "updateable",
    "urls",
)


def global_describe(schema: Schema) -> dict[str, Any]:
    """Lists the objects of an org in short.

    Args:
        schema: The org's objects.

    Returns:
        `encoding`, `maxBatchSize` and `sobjects`: for each object 28 keys of its describe, in the
        order in which recorded orgs give them.
    """
    return {
        "encoding": "UTF-8",
        "maxBatchSize": 200,
        "sobjects": [{flag: o.document.get(flag) for flag in _FLAGS} for o in schema],
    }
