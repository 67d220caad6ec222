"""Records from files: one CSV or JSON file an object, or what `sf data export tree` makes."""

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from sf_assets.emulator.ids import HISTORY_PREFIX, id_at, ids
from sf_assets.emulator.metadata.recorded import unwrapped
from sf_assets.emulator.schema import Schema, SObject
from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world.lead_conversion import BadValueError, converted

# Long enough for a record of Salesforce's greatest length many times over.
_BLOCK_BYTES = 16 << 20
_READ_FIRST = "User"
_NUMBER_DIGITS = 8
_PLAN = "-plan.json"
# Each stamp, and those that stand in for it, the best first.
_STAMPS = {
    "CreatedDate": ("LastModifiedDate", "SystemModstamp"),
    "LastModifiedDate": ("CreatedDate", "SystemModstamp"),
    "SystemModstamp": ("LastModifiedDate", "CreatedDate"),
}
_USERS = ("OwnerId", "CreatedById", "LastModifiedById")

Record = Mapping[str, Any]


def load_folder(
    schema: Schema, folder: Path, *, now: datetime | None = None
) -> Iterator[tuple[str, pa.Table]]:
    """Reads the records of an org.

    Args:
        schema: The org's objects.
        folder: With `<Object>.csv` files, whose headers are API names in any case and whose empty
            cells are null, or `<Object>.json` files: a list of records, or an object with the list
            as `records`. `@reference` finds the record of any JSON file with that `referenceId`,
            and children may be nested below their relationship name. A file of another name is of
            the object that a plan in the folder (`…-plan.json`) says, or that the `attributes` of
            its first record name.
        now: Stamp of records that have none; None for the time of day.

    Yields:
        Object name and some rows, with a column for each stored field. Ids, stamps and owners that
        a file does not give are filled in; what the org works out by itself is passed over. CSV is
        streamed; JSON is held in memory.

    Raises:
        ValueError: A file that belongs to no object, a field that the object does not have, or a
            value that the field cannot hold, with the file and the record.
    """
    stamp = now or datetime.now(UTC)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [p for p in files if p.suffix.lower() in {".csv", ".json"} and _is_meant(p)]
    if not files:
        raise ValueError(f"{folder}: no .csv or .json file there")
    plans = [path for path in files if path.name.lower().endswith(_PLAN)]
    planned = {path: name for plan in plans for path, name in _planned(plan)}
    files = sorted({*files} - {*plans} | {*planned}, key=lambda p: (p.stem != _READ_FIRST, p))
    trees = _Trees(schema)
    for path in files:
        if path.suffix.lower() != ".csv":
            trees.add(path, planned.get(path))
    rows = _Rows(stamp, trees.references)
    for path in files:
        if path.suffix.lower() == ".csv":
            sobject = _object(schema, path, path.stem)
            for first, batch in _csv_batches(path, sobject):
                yield sobject.name, rows.table(sobject, path, first, batch)
    for sobject, path, records in trees.found.values():
        yield sobject.name, rows.table(sobject, path, 1, _columns(records))


def _is_meant(path: Path) -> bool:
    """Whether it is a file that somebody put there, not one that a system keeps beside it."""
    return path.is_file() and not path.name.startswith(".")


def _object(schema: Schema, path: Path, name: str) -> SObject:
    sobject = schema.get(name)
    if sobject is None:
        raise ValueError(f"{path}: the org has no object {name}")
    if sobject.generated is not None:
        raise ValueError(f"{path}: the rows of {sobject.name} are computed")
    return sobject


def _json(path: Path) -> Any:
    try:
        return unwrapped(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON in UTF-8: {error}") from error


def _planned(plan: Path) -> Iterator[tuple[Path, str]]:
    """The files of a plan and the objects whose records they hold."""
    document = _json(plan)
    steps = document if isinstance(document, list) else [document]
    for step in steps:
        if not _is_step(step):
            raise ValueError(f"{plan}: no plan: each step must have `sobject` and `files`")
        name, files = step["sobject"], step["files"]
        for file in files:
            path = plan.parent / str(file)
            if not path.is_file():
                raise ValueError(f"{plan}: there is no file {file}")
            yield path, name


def _csv_batches(path: Path, sobject: SObject) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """Columns of text, block by block, with the number of the block's first record."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            names = next(lines, [])
            if names and next(lines, None) is None:
                return
        if len({name.lower() for name in names}) < len(names):
            raise ValueError(f"{path}: a column comes twice: {', '.join(names)}")
        reader = pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        first = 1
        for batch in reader:
            yield first, dict(zip(names, batch.columns, strict=True))
            first += len(batch)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise ValueError(f"{path}: no CSV of {sobject.name} in UTF-8: {error}") from error


def _is_step(step: Any) -> bool:
    return (
        isinstance(step, Mapping)
        and isinstance(step.get("sobject"), str)
        and isinstance(step.get("files"), list)
    )


class _Trees:
    """JSON records of all files, with children and references to each other.

    Args:
        schema: The org's objects.

    Attributes:
        found: By object name: the object, the file it was first in, its records.
        references: Ids by `referenceId`.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.found: dict[str, tuple[SObject, Path, list[dict[str, Any]]]] = {}
        self.references: dict[str, str] = {}

    def add(self, path: Path, name: str | None) -> None:
        """Reads a file.

        Args:
            path: Which one.
            name: The object that a plan gives it; None for the one that it is named after.
        """
        document = _json(path)
        if name is None and self._schema.get(path.stem) is None:
            name = _first_type(document)
        sobject = _object(self._schema, path, name or path.stem)
        try:
            self._add(path, sobject, document, {})
        except RecursionError:
            raise ValueError(f"{path}: records are nested too deeply") from None

    def _add(self, path: Path, sobject: SObject, document: Any, more: Record) -> None:
        records = document.get("records") if isinstance(document, Mapping) else document
        if not isinstance(records, list) or not all(isinstance(r, Mapping) for r in records):
            raise ValueError(f"{path}: no list of {sobject.name} records")
        self.found.setdefault(sobject.name, (sobject, path, []))
        for record in records:
            self._add_record(path, sobject, record, more)

    def _add_record(self, path: Path, sobject: SObject, record: Record, more: Record) -> None:
        """Takes one record on, and those nested in it."""
        _, _, known = self.found.setdefault(sobject.name, (sobject, path, []))
        attributes = record.get("attributes") or {}
        _check_record(path, sobject, record, attributes)
        given = {name.lower(): value for name, value in record.items()}.get("id")
        own: dict[str, Any] = {
            "Id": given or id_at(sobject.key_prefix or HISTORY_PREFIX, len(known) + 1),
            **more,
        }
        known.append(own)
        if "referenceId" in attributes:
            reference = str(attributes["referenceId"])
            if reference in self.references:
                raise ValueError(f"{path}: the referenceId {reference} comes twice")
            self.references[reference] = own["Id"]
        for name, value in record.items():
            if isinstance(value, Mapping) and "records" in value:
                self._add_children(path, sobject, name, value, own["Id"])
            elif name.lower() not in {"attributes", "id"}:
                own[name] = value

    def _add_children(
        self, path: Path, sobject: SObject, relationship: str, document: Any, parent_id: str
    ) -> None:
        for child in sobject.document["childRelationships"]:
            owner = self._schema.get(child["childSObject"])
            named = (child["relationshipName"] or "").lower() == relationship.lower()
            if named and owner is not None:
                self._add(path, owner, document, {child["field"]: parent_id})
                return
        raise ValueError(f"{path}: {sobject.name} has no children called {relationship}")


def _check_record(path: Path, sobject: SObject, record: Record, attributes: Any) -> None:
    """Refuse a record of another object, or one that cannot be read in one way only."""
    problem = None
    if not isinstance(attributes, Mapping):
        problem = f"attributes of {sobject.name} must be an object"
    elif str(attributes.get("type", sobject.name)).lower() != sobject.name.lower():
        problem = f"a record of {attributes['type']} among those of {sobject.name}"
    elif len({name.lower() for name in record}) < len(record):
        problem = f"a record of {sobject.name} has a field twice"
    if problem is not None:
        raise ValueError(f"{path}: {problem}")


def _first_type(document: Any) -> str | None:
    """The object that the first record of a file says it is of."""
    records = document.get("records") if isinstance(document, Mapping) else document
    first = records[0] if isinstance(records, list) and records else None
    attributes = first.get("attributes") if isinstance(first, Mapping) else None
    kind = attributes.get("type") if isinstance(attributes, Mapping) else None
    return kind if isinstance(kind, str) else None


def _columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Values by the name of their field, in whichever case each record has it."""
    names: dict[str, str] = {}
    for name in (name for record in records for name in record):
        names.setdefault(name.lower(), name)
    rows = [{name.lower(): value for name, value in record.items()} for record in records]
    return {name: [row.get(lowered) for row in rows] for lowered, name in names.items()}


class _Rows:
    """Turns what files say into the org's columns.

    Args:
        stamp: For records without stamps.
        references: Ids by `referenceId`.
    """

    def __init__(self, stamp: datetime, references: Mapping[str, str]) -> None:
        self._stamp = pa.scalar(stamp, pa.timestamp("ms", "UTC"))
        self._references = references
        self._user = id_at("005", 1)

    def table(self, sobject: SObject, path: Path, first: int, given: Mapping[str, Any]) -> pa.Table:
        """Some records with all their stored fields.

        Args:
            sobject: Their object.
            path: Where they are from, for errors.
            first: Number of the first record in the file, for errors.
            given: Columns of text, or of JSON values.
        """
        columns: dict[str, pa.Array] = {}
        for name, values in given.items():
            field = sobject.field(name)
            if field is None:
                raise ValueError(f"{path}: {sobject.name} has no field {name}")
            if not field.stored:
                continue
            try:
                columns[field.name] = converted(field, values, self._references)
            except BadValueError as error:
                record = first + error.position
                raise ValueError(f"{path}, record {record}, {field.name}: {error}") from error
        length = len(next(iter(given.values()), ()))
        columns["Id"] = self._ids(sobject, path, first, length, columns.get("Id"))
        if sobject.name == _READ_FIRST and first == 1 and length:
            self._user = columns["Id"][0].as_py()
        self._complete(sobject, columns, first, length)
        return col.table(sobject, columns, length)

    @staticmethod
    def _ids(
        sobject: SObject, path: Path, first: int, length: int, given: pa.Array | None
    ) -> pa.Array:
        """The records' own Ids, or new ones if the file has none at all."""
        if given is None:
            return ids(sobject.key_prefix or HISTORY_PREFIX, first, length)
        if given.null_count:
            raise ValueError(f"{path}: some records have an Id and some have none")
        return given

    def _complete(
        self, sobject: SObject, columns: dict[str, pa.Array], first: int, length: int
    ) -> None:
        """Fills in what the platform would have set."""
        given = dict(columns)
        for field in sobject.fields.values():
            default: Any = None
            if field.name in _STAMPS:
                default = self._stamp
                for other in reversed(_STAMPS[field.name]):
                    default = col.filled(given[other], default) if other in given else default
            elif field.name in _USERS:
                default = pa.scalar(self._user)
            elif field.type == "boolean":
                default = pa.scalar(bool(field.document["defaultValue"]))
            elif field.document["autoNumber"] and field.name not in given:
                default = col.numbered("{}", np.arange(first, first + length), _NUMBER_DIGITS)
            if default is not None and field.stored:
                known = given.get(field.name)
                if known is None:
                    known = pa.nulls(length, col.arrow_type(field))
                columns[field.name] = col.filled(known, default)
