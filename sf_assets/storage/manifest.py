"""A slice: what one extraction of one object brought, described by its manifest."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    model_validator,
)

from sf_assets.naming import Names
from sf_assets.windows import BEGIN, Window, compact, parse_compact

_Moment = Annotated[
    datetime,
    BeforeValidator(lambda v: parse_compact(v) if isinstance(v, str) else v),
    PlainSerializer(compact),
]


class SliceKind(StrEnum):
    """What a slice holds.

    All but the last two hold versions: whole rows, of which the newest of each record wins. The
    last two are patches of what versions say.
    """

    EXPORT = "export"  # the versions that a window of the cursor held
    SNAPSHOT = "snapshot"  # every record, for an object without a cursor
    RECORDS = "records"  # versions of records that were asked for by Id
    COMPACTED = "compacted"  # what other slices held; each row knows which, and when it was read
    FIELDS = "fields"  # some columns of records, read again under the stamp that they had
    DELETIONS = "deletions"  # Ids of records that are gone for good

    @property
    def covers(self) -> bool:
        """Whether everything in its window was read."""
        return self in {SliceKind.EXPORT, SliceKind.SNAPSHOT}

    @property
    def patches(self) -> bool:
        """Whether it changes rows that others brought, and brings none."""
        return self in {SliceKind.FIELDS, SliceKind.DELETIONS}


def column_name(field: str) -> str:
    """Name of the column that a field or parent field is kept in."""
    return field.replace(".", "_")


def new_slice_id(read_at: datetime) -> str:
    """A fresh slice id, sortable by its read time."""
    return f"{compact(read_at)}-{uuid.uuid4().hex[:8]}"


class Part(BaseModel):
    """One Parquet file of a slice.

    Attributes:
        path: Where it is, from the storage's root.
        rows: Rows in it.
        bytes: Its size.
        sha256: Its checksum, in hexadecimal.
        label: The days or months of the cursor that it holds, as in its folder's name.
        nul: Whether a text in it may hold a NUL.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    rows: int
    bytes: int
    sha256: str
    label: str
    nul: bool = False


class Counts(BaseModel):
    """The ledger of one slice: rows at each hand-over.

    Attributes:
        org: What the job, or the query's totalSize, announced.
        pages: Sum of what the page headers announced.
        parsed: Rows parsed.
        known: Rows left out because raw holds that very version already.
        written: Rows in the parts.
        removed: Rows that were in them, and were removed later: forgotten, or past their time.
    """

    model_config = ConfigDict(frozen=True)

    org: int = 0
    pages: int = 0
    parsed: int = 0
    known: int = 0
    written: int = 0
    removed: int = 0

    @property
    def agree(self) -> bool:
        """Whether nothing was lost or invented on the way."""
        kept = self.known + self.written + self.removed
        return self.org == self.pages == self.parsed == kept


class Slice(BaseModel):
    """A manifest: the document that makes a slice exist. Written last.

    It changes only where rows are removed for good (`rewrite.py`). Without counts and parts it is a
    draft: the journal's note of a slice being read.

    Attributes:
        version: Of this format.
        org_id: The org it came from.
        object: API name of the object.
        id: Slice id.
        kind: What it holds.
        start: Begin of the window, as `compact` writes it.
        end: End of the window.
        read_at: The org's time when reading began; orders versions with one cursor.
        source: `bulk` or `rest`.
        job_id: The Bulk job, if there was one.
        soql: The query.
        cursor: The cursor field, or None for a snapshot.
        fields: Fields selected, in order: `Id`, `Owner.Name`.
        counts: The ledger.
        min_cursor: Smallest cursor in it, as the org wrote it; None when it is empty.
        max_cursor: Greatest.
        digest: Of a snapshot, the sum of its rows' hashes: the same rows have the same.
        calls: API calls that it cost.
        seconds: How long it took.
        parts: Its files.
        digits: Room that numbers in it need, digits before and after the point, by column: never
            less than describe gave them. Nothing of columns that were no numbers by then.
        replaces: Ids of the slices whose rows it holds and whose place it takes.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    org_id: str
    object: str
    id: str
    kind: SliceKind
    start: _Moment
    end: _Moment
    read_at: _Moment
    source: str
    job_id: str | None = None
    soql: str
    cursor: str | None = None
    fields: tuple[str, ...]
    counts: Counts = Counts()
    min_cursor: str | None = None
    max_cursor: str | None = None
    digest: str | None = None
    calls: int = 0
    seconds: float = 0.0
    parts: tuple[Part, ...] = ()
    digits: dict[str, tuple[int, int]] = {}
    replaces: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _window_in_order(self) -> Self:
        _in_order((self.start, self.end))
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in its files: `Id`, `Owner_Name`."""
        return tuple(column_name(field) for field in self.fields)

    @property
    def oldest(self) -> datetime | None:
        """Smallest cursor in it, which is the time of reading for an object without one.

        None when it is empty, or says nothing that is a time.
        """
        if self.cursor is None:
            return self.read_at if self.counts.written else None
        try:
            return datetime.fromisoformat(self.min_cursor) if self.min_cursor else None
        except ValueError:
            return None

    def room(self, column: str) -> tuple[int, int] | None:
        """Digits that numbers of a column need; None where that was not counted."""
        return Names(self.digits.items()).get(column)

    def respelt(self, spelling: Names[str]) -> Self:
        """The same slice with its fields as they are spelt now, without those that are not told."""
        fields = tuple(spelling[name] for name in self.fields if name in spelling)
        cursor = spelling.get(self.cursor, self.cursor) if self.cursor else None
        return self.model_copy(update={"fields": fields, "cursor": cursor})

    @property
    def window(self) -> Window:
        """The window it covers."""
        return Window(self.start, self.end)

    @property
    def ref(self) -> "SliceRef":
        """Its name."""
        return SliceRef(self.object.lower(), self.window, self.kind, self.id)


def _in_order(edges: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    start, end = edges
    if end <= start:
        raise ValueError("a window ends after it begins")
    return edges


_Edges = Annotated[tuple[_Moment, _Moment], AfterValidator(_in_order)]
Windows = dict[str, tuple[_Edges, ...]]


class CoverageManifest(BaseModel):
    """A document that proves windows of many objects to hold nothing that raw does not have.

    Attributes:
        version: Of this format.
        org_id: The org.
        windows: Begin and end of each window of the cursor, by lower-cased object name.
        deletions: The same for windows of time in which all deletions are known.
        settled: The same for windows whose content was compared when it could no longer change;
            None of manifests of earlier versions, which did not tell it apart.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    org_id: str
    windows: Windows = {}
    deletions: Windows = {}
    settled: Windows | None = None


@dataclass(frozen=True, slots=True, order=True)
class SliceRef:
    """What a manifest's file name tells, so that a listing alone gives the coverage.

    Attributes:
        object: Lower-cased object name, which is the manifest's folder.
        window: The window it covers.
        kind: What it holds.
        id: Slice id.
        size: Bytes of the manifest, where it was listed.
    """

    object: str
    window: Window
    kind: SliceKind
    id: str
    size: int | None = field(default=None, compare=False)

    @property
    def made_at(self) -> datetime:
        """The org's time when it was read; of a compacted one, when it was made."""
        return parse_compact(self.id.partition("-")[0])

    def settled(self, late: timedelta, now: datetime) -> Window | None:
        """The part of its window that was read when it could no longer change.

        Args:
            late: How long after its stamp a version may become visible.
            now: The org's present. What was read later than that has its time from another
                reading, not from the clock; the window had ended when it was read.
        """
        read = self.made_at if self.made_at <= now else self.window.end
        if not self.kind.covers or read - BEGIN <= late:
            return None
        end = min(self.window.end, read - late)
        return Window(self.window.start, end) if end > self.window.start else None

    @property
    def file(self) -> str:
        """File name of the manifest."""
        window = f"{compact(self.window.start)}_{compact(self.window.end)}"
        return f"{window}_{self.kind}_{self.id}.json"

    @classmethod
    def parse(cls, slug: str, file: str, size: int | None = None) -> Self:
        """Read a file name.

        Raises:
            ValueError: It is none of ours.
        """
        start, end, kind, slice_id = file.removesuffix(".json").split("_")
        window = Window(parse_compact(start), parse_compact(end))
        found = cls(slug, window, SliceKind(kind), slice_id, size)
        if found.file != file:
            raise ValueError(f"{file} is not what we would call it")
        return found
