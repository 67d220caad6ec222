"""Records from files: one CSV or JSON file an object."""

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
from sf_assets.emulator.schema import Schema, SObject
from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world.convert import BadValueError, converted

# Long enough for a record of Salesforce's greatest length many times over.
_BLOCK_BYTES = 16 << 20
_READ_FIRST = "User"
_NUMBER_DIGITS = 8
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
            as `records`. `attributes` are ignored, but `@reference` finds the record of any JSON
            file with that `referenceId`, and children may be nested below their relationship name.
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
    files = [path for path in files if path.suffix in {".csv", ".json"}]
    if not files:
        raise ValueError(f"{folder}: no .csv or .json file there")
    files.sort(key=lambda path: path.stem != _READ_FIRST)
    trees = _Trees(schema)
    for path in files:
        if path.suffix == ".json":
            trees.add(path, _object(schema, path))
    rows = _Rows(stamp, trees.references)
    for path in files:
        if path.suffix == ".csv":
            sobject = _object(schema, path)
            for first, batch in _csv_batches(path, sobject):
                yield sobject.name, rows.table(sobject, path, first, batch)
    for sobject, path, records in trees.found.values():
        yield sobject.name, rows.table(sobject, path, 1, _columns(records))


def _object(schema: Schema, path: Path) -> SObject:
    sobject = schema.get(path.stem)
    if sobject is None:
        raise ValueError(f"{path}: the org has no object {path.stem}")
    return sobject


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
    except (UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path}: no CSV of {sobject.name} in UTF-8: {error}") from error


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

    def add(self, path: Path, sobject: SObject) -> None:
        """Reads a file."""
        try:
            document = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: no JSON in UTF-8: {error}") from error
        self._add(path, sobject, document, {})

    def _add(self, path: Path, sobject: SObject, document: Any, more: Record) -> None:
        records = document.get("records") if isinstance(document, Mapping) else document
        if not isinstance(records, list) or not all(isinstance(r, Mapping) for r in records):
            raise ValueError(f"{path}: no list of {sobject.name} records")
        _, _, known = self.found.setdefault(sobject.name, (sobject, path, []))
        for record in records:
            attributes = record.get("attributes") or {}
            prefix = sobject.key_prefix or HISTORY_PREFIX
            given = {name.lower(): value for name, value in record.items()}.get("id")
            own: dict[str, Any] = {"Id": given or id_at(prefix, len(known) + 1), **more}
            known.append(own)
            if "referenceId" in attributes:
                self.references[attributes["referenceId"]] = own["Id"]
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
            if child["relationshipName"] == relationship and owner is not None:
                self._add(path, owner, document, {child["field"]: parent_id})
                return
        raise ValueError(f"{path}: {sobject.name} has no children called {relationship}")


def _columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


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
