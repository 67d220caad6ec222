"""What the org says of an object, cut down to what the pipeline needs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from sf_assets.naming import ApiName, folded, same_name

CURSORS = ("SystemModstamp", "LastModifiedDate")
"""Cursor fields in order of preference (design §2)."""

_COMPOUND = frozenset({"address", "location"})
_NOT_EXPORTABLE = _COMPOUND | frozenset({"base64", "junctionIdList", "complexvalue"})

_PARTS = frozenset(
    {"street", "city", "state", "postalcode", "country", "statecode", "countrycode", "latitude",
     "longitude", "geocodeaccuracy"}
)  # fmt: skip

_STAMPS_AND_KEYS = frozenset(
    {"Id", "IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"}
    | set(CURSORS)
)
_OF_A_PERSON = frozenset({"firstname", "lastname", "middlename", "salutation", "suffix"})
_OF_A_CHANGE = ("Field", "OldValue", "NewValue")  # by which histories are known, all of them
OF_WHOEVER_ASKS = frozenset({"LastViewedDate", "LastReferencedDate"})
"""Fields that say something of the user who asks, and nothing of the record."""


def _values(entries: Any) -> Any:
    """Values of picklist entries; those no longer active stay in old records."""
    if isinstance(entries, list) and entries and isinstance(entries[0], dict):
        return tuple(entry["value"] for entry in entries)
    return entries


class Loss(BaseModel):
    """That something which was there once cannot be seen any more.

    Attributes:
        since: When that was noticed, by the org's time.
        user: Who could not see it.
    """

    model_config = ConfigDict(frozen=True)

    since: AwareDatetime
    user: str

    def __str__(self) -> str:
        return f"not visible to {self.user} since {self.since:%Y-%m-%d %H:%M:%S} UTC"


def _printable(text: Any) -> Any:
    """The same text, with a mark for half a character: nobody could write that down."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_printable)]
"""What an administrator wrote, in whatever characters."""


class FieldInfo(BaseModel):
    """One field, by the attributes of its describe that we use; the others are dropped.

    `categories` are those of compliance and sensitivity by which the org classifies it, as another
    document tells. Two are ours. `gone`: the field was there once, and raw may hold values of it.
    `since`: what was read of it before that time may be another field's, or of another type; None
    when it has been as it is for as long as we know the object.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    name: ApiName
    type: Text
    label: Text = ""
    help: Annotated[Text | None, Field(alias="inlineHelpText")] = None
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    calculated: bool = False
    createable: bool = True
    updateable: bool = True
    numbered: Annotated[bool, Field(alias="autoNumber")] = False
    filterable: bool = True
    restricted: Annotated[bool, Field(alias="restrictedPicklist")] = False
    picklist: Annotated[
        tuple[Text, ...], BeforeValidator(_values), Field(alias="picklistValues")
    ] = ()
    reference_to: Annotated[tuple[Text, ...], Field(alias="referenceTo")] = ()
    relationship: Annotated[Text | None, Field(alias="relationshipName")] = None
    categories: tuple[Text, ...] = ()
    gone: Loss | None = None
    since: AwareDatetime | None = None

    def leads_to(self, relationship: str) -> bool:
        """Whether SOQL reaches a parent by this name, in any case, over this field."""
        return same_name(self.relationship or "", relationship)

    def continues_as(self, later: "FieldInfo") -> bool:
        """Whether values read of this field are values of that one, too."""
        return (self.type, self.calculated) == (later.type, later.calculated)

    @property
    def is_compound(self) -> bool:
        """Whether its values are those of several other fields."""
        return self.type in _COMPOUND

    @property
    def of_rows(self) -> bool:
        """Whether its values are columns of rows. By type: `compoundFieldName` misleads."""
        return self.type not in _NOT_EXPORTABLE

    @property
    def exportable(self) -> bool:
        """Whether a query of many rows may select it."""
        return self.of_rows and not self.gone


def _different(fields: tuple[FieldInfo, ...]) -> tuple[FieldInfo, ...]:
    if len({folded(f.name) for f in fields}) < len(fields):
        raise ValueError("a field is there twice")
    return fields


class ObjectInfo(BaseModel):
    """One object, by the attributes of its describe that we use.

    `classified` and `gone` are ours: how its fields are classified was asked; it was there once.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    name: ApiName
    label: Text = ""
    queryable: bool = True
    replicateable: bool = False
    updateable: bool = True
    key_prefix: Annotated[Text | None, Field(alias="keyPrefix")] = None
    fields: Annotated[tuple[FieldInfo, ...], AfterValidator(_different)] = ()
    classified: bool = False
    gone: Loss | None = None

    def field(self, name: str) -> FieldInfo | None:
        """The field of that name in any case, or None."""
        return next((f for f in self.fields if same_name(f.name, name)), None)

    @property
    def exportable(self) -> tuple[FieldInfo, ...]:
        """Fields that an export selects, in describe's order."""
        return tuple(f for f in self.fields if f.exportable)

    @property
    def cursor(self) -> str | None:
        """The field that windows are cut by; None when only full snapshots are possible.

        `CreatedDate` serves only where rows never change. That users cannot update them is not
        enough: of an `AsyncApexJob` the platform itself changes the status.
        """
        dates = {f.name for f in self.exportable if f.type == "datetime" and f.filterable}
        names = (*CURSORS, "CreatedDate") if self.is_history else CURSORS
        return next((name for name in names if name in dates), None)

    @property
    def is_history(self) -> bool:
        """Whether each row tells of one change of a field, and so never changes itself."""
        return not self.updateable and all(self.field(name) for name in _OF_A_CHANGE)

    @property
    def derived(self) -> tuple[str, ...]:
        """Fields that the org works out from other records or the date, and no stamp tells when.

        Formulas and roll-ups are marked as calculated. Others, such as `Campaign.NumberOfLeads` or
        `LastActivityDate`, are those that nobody can write, in an object that can be written.
        """
        return tuple(
            f.name
            for f in self.exportable
            if f.calculated or (self.updateable and _is_worked_out(f))
        )

    @property
    def soft_deletes(self) -> bool:
        """Whether a deleted row stays for a while, marked `IsDeleted`."""
        return self.field("IsDeleted") is not None

    def parts_of(self, compound: FieldInfo) -> tuple[str, ...]:
        """Fields that an address or a location is made of, as far as their names tell."""
        stem = compound.name.removesuffix("__c").removesuffix("Address")
        own = {folded(compound.name), folded(f"{stem}__c")}
        return tuple(
            f.name
            for f in self.exportable
            if folded(f.name) not in own
            and folded(f.name).startswith(folded(stem))
            and folded(f.name[len(stem) :].strip("_").removesuffix("__s")) in _PARTS
        )

    def parts_of_name(self, name: str) -> tuple[str, ...]:
        """Fields that a field is made of which is the name of a person; of others none."""
        if not same_name(name, "Name"):
            return ()
        return tuple(f.name for f in self.fields if folded(f.name) in _OF_A_PERSON)

    def categories_of(self, name: str) -> tuple[str, ...]:
        """How the org classifies a field: as itself, and as a part of an address or a name."""
        wholes = [
            f
            for f in self.fields
            if f.is_compound and folded(name) in map(folded, self.parts_of(f))
        ]
        if folded(name) in _OF_A_PERSON:
            wholes += [f for f in self.fields if same_name(f.name, "Name")]
        own = self.field(name)
        found = [*([own] if own else []), *wholes]
        return tuple(dict.fromkeys(c for field in found for c in field.categories))

    def classified_by(self, found: Mapping[str, tuple[str, ...]]) -> "ObjectInfo":
        """The describe with the categories by which its fields are classified."""
        known = {folded(name): categories for name, categories in found.items()}
        fields = tuple(
            f.model_copy(update={"categories": known.get(folded(f.name), ())}) for f in self.fields
        )
        return self.model_copy(update={"fields": fields, "classified": True})

    def lacking(self, before: "ObjectInfo") -> tuple[FieldInfo, ...]:
        """Fields of an older describe that this one does not have."""
        names = {folded(f.name) for f in self.fields}
        return tuple(f for f in before.fields if folded(f.name) not in names)

    def remembering(self, before: "ObjectInfo", now: datetime, user: str) -> "ObjectInfo":
        """This describe with what an older one knows.

        Fields that are gone from it are there, marked so. Fields that are new, back, or of another
        type are so since now.

        Args:
            before: The describe before this one.
            now: The org's present.
            user: Who asked.
        """
        loss = Loss(since=now, user=user)
        known = {folded(f.name): f for f in before.fields if not f.gone}
        there = [
            f.model_copy(update={"since": old.since if old and old.continues_as(f) else now})
            for f in self.fields
            for old in [known.get(folded(f.name))]
        ]
        lost = [f.model_copy(update={"gone": f.gone or loss}) for f in self.lacking(before)]
        return self.model_copy(update={"fields": (*there, *lost)})


def _is_worked_out(field: FieldInfo) -> bool:
    written = field.createable or field.updateable or field.numbered
    return not written and field.name not in _STAMPS_AND_KEYS | OF_WHOEVER_ASKS


def parse_describe(document: Mapping[str, Any]) -> ObjectInfo:
    """Read a full describe document."""
    return ObjectInfo.model_validate(document)
