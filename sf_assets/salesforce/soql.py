"""The queries we send: generated from describe, or taken from a user's `.soql` file.

A file is only split into its clauses here; whether the conditions make sense is the org's to say.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sf_assets.describe import ObjectInfo
from sf_assets.errors import ConfigError
from sf_assets.windows import ALWAYS, BEGIN, Window

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<word>[A-Za-z_][\w.]*)
      | (?P<other>[^\s'A-Za-z_])""",
    re.VERBOSE | re.DOTALL,
)
_CLAUSES = {
    "SELECT": (),
    "FROM": (),
    "WHERE": (),
    "WITH": (),
    "ORDER": ("BY",),
    "GROUP": ("BY",),
    "USING": ("SCOPE",),
    "HAVING": (),
    "LIMIT": (),
    "OFFSET": (),
    "FOR": (),
    "ALL": ("ROWS",),
}
_REFUSED = {
    "LIMIT": "an export must be whole",
    "OFFSET": "an export must be whole",
    "GROUP": "an export has one row per record",
    "HAVING": "an export has one row per record",
    "USING": "a scope depends on the user who asks",
    "FOR": "reading must not change the org",
}
_COMMENT = re.compile(r"^[^\S\n]*--.*$", re.MULTILINE)
_LITERAL_LENGTH = len("2026-01-31T10:00:00Z")
_FIELD = re.compile(r"^[A-Za-z]\w*(\.[A-Za-z]\w*){0,5}$")


@dataclass(frozen=True, slots=True)
class Query:
    """A query of one object, without its window.

    Attributes:
        object: API name.
        fields: Selected fields and parent fields (`Owner.Name`), in order.
        where: Condition, or empty.
        suffix: A WITH clause, or empty.
        warnings: What was dropped from the user's file, for the log.
    """

    object: str
    fields: tuple[str, ...]
    where: str = ""
    suffix: str = ""
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def over(self, cursor: str | None, window: Window | None) -> str:
        """The SOQL for one window of the cursor; for everything when there is no window."""
        return self._soql(", ".join(self.fields), cursor, window)

    def of_records(self, ids: Iterable[str]) -> str:
        """The SOQL for records of these Ids, as far as the user's condition lets them through."""
        listed = ", ".join(f"'{record}'" for record in ids)
        where = f"({self.where}) AND Id IN ({listed})" if self.where else f"Id IN ({listed})"
        return replace(self, where=where).over(None, None)

    def probe(self, cursor: str, window: Window) -> str:
        """The SOQL that tells how many rows a window holds (`n`) and their newest cursor (`m`)."""
        return self._soql(f"COUNT(Id) n, MAX({cursor}) m", cursor, window)

    def count(self, cursor: str | None, window: Window | None) -> str:
        """The SOQL that counts the rows of a window."""
        return self._soql("COUNT()", cursor, window)

    def per_day(self, cursor: str, window: Window) -> str:
        """The SOQL that counts rows (`n`) by UTC day of the cursor (`d`); at most 2,000 days."""
        select = f"DAY_ONLY({cursor}) d, COUNT(Id) n"
        return f"{self._soql(select, cursor, window)} GROUP BY DAY_ONLY({cursor})"

    def only(self, names: Iterable[str]) -> "Query":
        """The same query with just these fields."""
        return replace(self, fields=tuple(names))

    def _soql(self, select: str, cursor: str | None, window: Window | None) -> str:
        conditions = [f"({self.where})"] if self.where else []
        if cursor and window:
            if window.start != BEGIN:
                conditions.append(f"{cursor} >= {literal(window.start)}")
            if window.end != ALWAYS.end:
                conditions.append(f"{cursor} < {literal(window.end)}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        suffix = f" {self.suffix}" if self.suffix else ""
        return f"SELECT {select} FROM {self.object}{where}{suffix}"


def literal(moment: datetime) -> str:
    """A moment as SOQL writes it; filters have second precision (api.md §6)."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}".zfill(_LITERAL_LENGTH)


def generate(
    info: ObjectInfo, *, only: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> Query:
    """The query of all exportable fields, or of those asked for.

    Id, cursor and IsDeleted are always selected. What is asked for and was there once is left out.

    Raises:
        ConfigError: A field asked for is not there or cannot be exported.
    """
    names = {f.name.lower(): f.name for f in info.exportable}
    gone = {f.name.lower() for f in info.fields if f.gone}
    if unknown := [name for name in only or () if name.lower() not in names.keys() | gone]:
        raise ConfigError(
            f"{info.name} has no exportable field {', '.join(unknown)}; correct its `fields` in "
            "the catalogue or let this user read them"
        )
    wanted = set(names) if only is None else {name.lower() for name in only}
    wanted -= {name.lower() for name in exclude}
    wanted |= {name.lower() for name in required(info)}
    return Query(info.name, tuple(name for key, name in names.items() if key in wanted))


def required(info: ObjectInfo) -> tuple[str, ...]:
    """Fields that no export can do without: Id, the cursor, and IsDeleted where there is one."""
    cursor = (info.cursor,) if info.cursor else ()
    return ("Id", *cursor, *(("IsDeleted",) if info.soft_deletes else ()))


def read_soql(path: Path, info: ObjectInfo) -> Query:
    """The query of a user's file, held against the object's describe.

    Lines that begin with `--` are comments. ORDER BY and ALL ROWS are dropped with a warning: both
    are ours to decide. Fields that were there once are left out while they are gone.

    Raises:
        ConfigError: The file cannot be read, or is no query that an export can use.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the file is not UTF-8; save it as that") from None
    clauses = _split(_COMMENT.sub("", text), path)
    for word, why in _REFUSED.items():
        if word in clauses:
            raise ConfigError(f"{path}: {word} is refused: {why}; remove it")
    fields = tuple(part.strip() for part in clauses["SELECT"].split(","))
    for name in fields:
        if not _FIELD.match(name):
            raise ConfigError(
                f"{path}: {name!r} is no field or parent field; an export selects nothing else"
            )
    if clauses["FROM"].lower() != info.name.lower():
        raise ConfigError(f"{path}: it must read FROM {info.name}, not {clauses['FROM']!r}")
    have = {name.lower() for name in fields}
    if missing := [name for name in required(info) if name.lower() not in have]:
        raise ConfigError(f"{path}: select {', '.join(missing)}, too; an export needs them")
    dropped = {"ORDER": "ORDER BY slows Bulk API down", "ALL": "deleted rows are always read"}
    return Query(
        info.name,
        _canonical(fields, info),
        where=clauses.get("WHERE", ""),
        suffix=f"WITH {clauses['WITH']}" if "WITH" in clauses else "",
        warnings=tuple(
            f"{path.name}: {why}; dropped" for w, why in dropped.items() if w in clauses
        ),
    )


def _canonical(fields: Sequence[str], info: ObjectInfo) -> tuple[str, ...]:
    """The fields in describe's spelling, so that columns do not change with the user's case."""
    known = {f.name.lower(): f for f in info.fields}
    gone = {name for name, field in known.items() if field.gone}
    spelt = {name: field.name for name, field in known.items()}
    return tuple(spelt.get(n.lower(), n) for n in fields if n.lower() not in gone)


def _split(text: str, path: Path) -> dict[str, str]:
    """Cut a query into its outermost clauses, by first keyword.

    Raises:
        ConfigError: Unfinished string, unbalanced parenthesis, no SELECT or no FROM, a clause
            that is there twice.
    """
    marks: list[tuple[str, int, int]] = []
    depth = position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ConfigError(f"{path}:{_line(text, position)}: a string has no end")
        token = match.group()
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            raise ConfigError(f"{path}:{_line(text, position)}: a ')' without its '('")
        keyword = token.upper()
        if depth == 0 and match.lastgroup == "word" and keyword in _CLAUSES:
            follow = "".join(rf"\s+{word}\b" for word in _CLAUSES[keyword])
            if tail := re.compile(follow, re.IGNORECASE).match(text, match.end()):
                marks.append((keyword, position, tail.end()))
        position = match.end()
    if depth:
        raise ConfigError(f"{path}: a '(' is never closed")
    keywords = [keyword for keyword, *_ in marks]
    if keywords[:2] != ["SELECT", "FROM"] or text[: marks[0][1]].strip():
        raise ConfigError(f"{path}: a query begins SELECT … FROM …")
    if repeated := [word for word in keywords if keywords.count(word) > 1]:
        raise ConfigError(f"{path}: {repeated[0]} is there twice")
    ends = [start for _, start, _ in marks[1:]] + [len(text)]
    return {k: text[body:end].strip() for (k, _, body), end in zip(marks, ends, strict=True)}


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
