"""Plausible values for any field, by what its describe says: type, length, digits, picklist."""

import base64
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from sf_assets.emulator.schema import COMPOUND_TYPES, Field
from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world import words
from sf_assets.emulator.world.calendar import DAY
from sf_assets.emulator.world.cohort import Cohort
from sf_assets.emulator.world.seeded_random import Bools, Floats

# A double tells numbers of this many digits apart.
_DOUBLE_DIGITS = 15
# Days since the epoch of 1 January 1700 and 31 December 4000, the limits of a date.
_FIRST_DAY, _LAST_DAY = -98_615, 741_807
_LONG = 32_000
# The longest text of any field.
_LONGEST = 131_072
# What an int holds whatever its value, and a long.
_INT_DIGITS, _LONG_DIGITS = 9, 18
_LONGEST_ROW = 3
# One value of so many is at a limit, in the first so many rows.
_OFTEN, _EARLY = 13, 1000
_SHORT = 12
_KEY_DIGITS = 8
# Of these many values of a multi-select picklist some are chosen.
_CHOICES = 8


def value(cohort: Cohort, field: Field) -> pa.Array:
    """A column of plausible values.

    Args:
        cohort: The rows.
        field: A stored field of their object that is no reference and no system field.

    Returns:
        Values of the field's Arrow type, null for some rows if the field may be.
    """
    make = _MAKERS.get(field.type, _text)
    if field.document["autoNumber"]:
        return _auto_number(cohort)
    if field.document["unique"] or field.document["externalId"]:
        return _unique(cohort, field)
    values = make(cohort, field)
    if not field.document["nillable"] or field.type == "boolean":
        return values
    filled = 0.75 if field.document["createable"] else 0.3
    # The parts of an address or a place are there together.
    compound = cohort.sobject.field(field.document["compoundFieldName"] or "")
    together = compound is not None and compound.type in COMPOUND_TYPES
    known = cohort.some(compound.name if compound and together else field.name, filled)
    return col.where(known, values, None)


def _length(field: Field) -> int:
    return min(int(field.document["length"]) or 255, _LONGEST)


def _auto_number(cohort: Cohort) -> pa.Array:
    initials = "".join(c for c in cohort.name if c.isupper())
    return col.numbered(initials + "-{}", cohort.index + 1, _KEY_DIGITS)


def _unique(cohort: Cohort, field: Field) -> pa.Array:
    """Different for each row: by case alone for every other row, where case counts."""
    if field.type not in {"string", "email"}:
        return pa.array(cohort.index + 1).cast(col.arrow_type(field))
    width = min(_KEY_DIGITS, _length(field))
    if not field.document["caseSensitive"] or _length(field) < 2 * _KEY_DIGITS:
        before = "Key-" if _length(field) > 2 * _KEY_DIGITS else ""
        after = "@example.com" if field.type == "email" else ""
        return col.numbered(before + "{}" + after, cohort.index + 1, width)
    lower = col.numbered("key-{}", cohort.index // 2, width)
    upper = col.numbered("KEY-{}", cohort.index // 2, width)
    return col.where(cohort.index % 2 == 0, lower, upper)


def _text(cohort: Cohort, field: Field) -> pa.Array:
    length = _length(field)
    if length < _SHORT:
        return col.digits(cohort.dice, field.name, "#" * length)
    if field.document["nameField"]:
        label = cohort.sobject.document["label"][: length - _KEY_DIGITS - 1]
        name = col.joined(label, col.as_words(cohort.index + 1), separator=" ")
        return cohort.sprinkled(name, _fitting(words.AWKWARD_NAMES, length))
    if field.name.endswith(("City", "City__s")):
        return col.text(words.CITIES, cohort.dice.pick(field.name, len(words.CITIES)))
    pool = words.pool([text[:length].rstrip() for text in words.SENTENCES.to_pylist()])
    if field.document["htmlFormatted"]:
        pool = words.pool([f"<p>{text}</p>" for text in words.SENTENCES.to_pylist()])
    text = col.text(pool, cohort.dice.pick(field.name, len(pool)))
    text = cohort.sprinkled(text, _fitting(words.AWKWARD_TEXTS, length))
    if length < _LONG:
        return text
    # One text as long as the field takes, and a long one every now and then.
    longest = cohort.index == _LONGEST_ROW
    very_long = longest | cohort.every(9973, 7)
    texts = [words.long_text(length if full else _LONG) for full in longest[very_long]]
    return col.replaced(text, very_long, pa.array(texts, pa.string()))


def _fitting(pool: pa.Array, length: int) -> pa.Array:
    return words.pool([text for text in pool.to_pylist() if len(text) <= length])


def _email(cohort: Cohort, _field: Field) -> pa.Array:
    return col.joined("mail", col.as_words(cohort.index + 1), "@example.com")


def _phone(cohort: Cohort, field: Field) -> pa.Array:
    return col.digits(cohort.dice, field.name, "+1 (4##) 555-####")


def _url(cohort: Cohort, _field: Field) -> pa.Array:
    return col.joined("https://www.example.com/?id=", col.as_words(cohort.index + 1))


def _picklist(cohort: Cohort, field: Field) -> pa.Array:
    """One of the values: of a dependent picklist, one that the controlling value allows."""
    entries = field.document["picklistValues"]
    # Records keep values that have been switched off since; a restricted picklist refuses them.
    options = [e for e in entries if e["active"] or not field.document["restrictedPicklist"]]
    if not options:
        return pa.nulls(len(cohort), pa.string())
    names = words.pool([entry["value"] for entry in options])
    picked = cohort.dice.pick(field.name, len(options))
    controller = cohort.sobject.field(field.document["controllerName"] or "")
    if controller is None or controller.type != "picklist":
        return col.text(names, picked)
    controlling = value(cohort, controller)
    allowed = np.zeros(len(cohort), np.bool_)
    for place, entry in enumerate(controller.document["picklistValues"]):
        valid = np.array([_is_valid_for(option, place) for option in options])
        allowed |= col.is_text(controlling, entry["value"]) & valid[picked]
    return col.text(names, picked, allowed)


def _is_valid_for(entry: dict[str, str | None], place: int) -> bool:
    """Whether a dependent picklist's entry may stand beside that entry of the controlling one."""
    bits = base64.b64decode(entry["validFor"] or "")
    return place // 8 < len(bits) and bool(bits[place // 8] & (0x80 >> place % 8))


def _multipicklist(cohort: Cohort, field: Field) -> pa.Array:
    options = field.picklist[:_CHOICES]
    if not options:
        return pa.nulls(len(cohort), pa.string())
    chosen = 1 + cohort.dice.pick(field.name, 2 ** len(options) - 1)
    parts = [
        col.where(chosen >> place & 1 == 1, pa.scalar(option), None)
        for place, option in enumerate(options)
    ]
    return col.joined(*parts, separator=";")


def _combobox(cohort: Cohort, field: Field) -> pa.Array:
    free = _text(cohort, field)
    return col.where(cohort.dice.chance(f"{field.name} free", 0.3), free, _picklist(cohort, field))


def _encrypted(cohort: Cohort, field: Field) -> pa.Array:
    return col.digits(cohort.dice, field.name, "####-####-####"[: _length(field)])


def _boolean(cohort: Cohort, field: Field) -> pa.Array:
    share = 0.8 if field.document["defaultValue"] else 0.3
    return col.flag(cohort.dice.chance(field.name, share))


def _int(cohort: Cohort, field: Field) -> pa.Array:
    held = _INT_DIGITS if field.type == "int" else _LONG_DIGITS
    digits = min(int(field.document["digits"]) or 8, held)
    most = 10**digits - 1
    small = np.minimum(10 ** (cohort.dice.share(f"{field.name} size") * digits), most)
    values = (small * cohort.dice.share(field.name)).astype(np.int64)
    edges = np.array([0, -1, most, -most, 10_000_000 % (most + 1)])
    return _edged(cohort, values, edges, pa.array).cast(col.arrow_type(field))


def _double(cohort: Cohort, field: Field) -> pa.Array:
    if field.name.endswith(("Latitude", "Latitude__s")):
        return col.number(cohort.dice.share(field.name) * 180 - 90)
    if field.name.endswith(("Longitude", "Longitude__s")):
        return col.number(cohort.dice.share(field.name) * 360 - 180)
    precision, scale = int(field.document["precision"]), int(field.document["scale"])
    # As many digits as a double can hold, as the field allows, before and after the point.
    places = min(scale, _DOUBLE_DIGITS - 1)
    before = max(min(precision - scale, _DOUBLE_DIGITS - places), 1)
    size = 10 ** (cohort.dice.share(f"{field.name} size") * before)
    values = np.round(size * (cohort.dice.share(field.name) * 1.2 - 0.2), places)
    most = np.round(10.0**before - 10.0**-places, places)
    digits = np.round(1_234_567.891_234_567_8 % 10**before, places)
    edges = np.array([0.0, -0.5 if places else -1.0, most, -most, 1e7 % 10**before, digits])
    return _edged(cohort, values, np.round(edges, places), col.number)


def _edged(
    cohort: Cohort, values: Floats, edges: Floats, to_array: Callable[..., pa.Array]
) -> pa.Array:
    """Puts the values at the limits in, each of them within the first rows."""
    return to_array(np.where(_rare(cohort), edges[cohort.index // _OFTEN % len(edges)], values))


def _rare(cohort: Cohort) -> Bools:
    return ((cohort.index < _EARLY) & cohort.every(_OFTEN, 4)) | cohort.every(997, 4)


def _date(cohort: Cohort, field: Field) -> pa.Array:
    days = cohort.created_seconds // DAY + cohort.dice.between(field.name, -400, 800)
    edges = np.array([_FIRST_DAY, _LAST_DAY, 0, -1, 11_016])
    return _edged(cohort, days, edges, col.date)


def _datetime(cohort: Cohort, field: Field) -> pa.Array:
    share = cohort.dice.share(field.name)
    return col.moment(cohort.seconds(cohort.between(cohort.created, cohort.end, share)))


def _time(cohort: Cohort, field: Field) -> pa.Array:
    exact = cohort.dice.pick(f"{field.name} exact", 2) * cohort.dice.pick(f"{field.name} ms", 1000)
    milliseconds = cohort.dice.pick(field.name, DAY) * 1000 + exact
    return pa.array(milliseconds.astype(np.int32)).view(pa.time32("ms"))


def _blob(cohort: Cohort, field: Field) -> pa.Array:
    text = col.joined("document ", col.as_words(cohort.index + 1))
    return col.where(cohort.dice.chance(field.name, 0.2), text, None).cast(pa.binary())


_MAKERS: dict[str, Callable[[Cohort, Field], pa.Array]] = {
    "email": _email,
    "phone": _phone,
    "url": _url,
    "picklist": _picklist,
    "multipicklist": _multipicklist,
    "combobox": _combobox,
    "encryptedstring": _encrypted,
    "boolean": _boolean,
    "int": _int,
    "long": _int,
    "double": _double,
    "currency": _double,
    "percent": _double,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "base64": _blob,
}


def table(cohort: Cohort) -> pa.Table:
    """The records of a cohort with all their stored fields.

    Fields that the cohort says nothing about are made up where they cannot be null and where they
    are custom fields, of which it cannot know.
    """
    columns = {**cohort.system(), **cohort.columns()}
    for field in cohort.sobject.fields.values():
        if field.stored and field.name not in columns and _is_needed(field):
            columns[field.name] = value(cohort, field)
    return col.table(cohort.sobject, columns, len(cohort))


def _is_needed(field: Field) -> bool:
    if field.type in {"reference", "boolean", "id"}:
        return False
    return bool(field.document["custom"]) or not field.document["nillable"]
