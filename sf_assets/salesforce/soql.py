"""The queries we send: generated from describe, or taken from a user's `.soql` file.

A file is only split into its clauses here; whether the conditions make sense is the org's to say.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sf_assets.describe import FieldInfo, ObjectInfo
from sf_assets.errors import ConfigError
from sf_assets.naming import Names, folded, same_name
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
_STRING_OR_COMMENT = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.)*')
      | (?P<comment>(?://|--)[^\n]*|/\*.*?\*/)
      | (?P<open>/\*)""",
    re.VERBOSE | re.DOTALL,
)
_FROM = re.compile(r"\bFROM\b", re.IGNORECASE)
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

    def per_month(self, cursor: str) -> str:
        """The SOQL that counts rows (`n`) by UTC year (`y`) and month (`m`) of the cursor."""
        year, month = f"CALENDAR_YEAR({cursor})", f"CALENDAR_MONTH({cursor})"
        select = f"{year} y, {month} m, COUNT(Id) n"
        return f"{self._soql(select, cursor, None)} GROUP BY {year}, {month}"

    def only(self, names: Iterable[str]) -> "Query":
        """The same query with just these fields."""
        return replace(self, fields=tuple(names))

    def within(self, low: str, high: str) -> "Query":
        """The same query of those records whose Ids lie in `[low, high)`; an empty edge is none."""
        edges = [f"Id >= '{low}'"] if low else []
        edges += [f"Id < '{high}'"] if high else []
        conditions = [f"({self.where})", *edges] if self.where else edges
        return replace(self, where=" AND ".join(conditions))

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
    """A moment as SOQL writes it; filters have second precision."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}".zfill(_LITERAL_LENGTH)


def generate(
    info: ObjectInfo, *, only: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> Query:
    """The query of all exportable fields, or of those asked for.

    Id, cursor and IsDeleted are always selected. What is asked for and was there once is left out.

    Raises:
        ConfigError: A field asked for is not there or cannot be exported; one to leave out is not
            there or must be.
    """
    for *_, problem in misnamed(info, only=only, exclude=exclude):
        raise ConfigError(problem)
    left_out = set(map(folded, exclude))
    wanted = {folded(f.name) for f in info.fields} if only is None else set(map(folded, only))
    wanted = wanted - left_out | set(map(folded, required(info)))
    return Query(info.name, tuple(f.name for f in info.exportable if folded(f.name) in wanted))


def misnamed(
    info: ObjectInfo, *, only: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> Iterator[tuple[str, int, str]]:
    """What a catalogue asks for or leaves out, and cannot.

    Yields:
        The setting, the entry's number in it, and why not.
    """
    needed = set(map(folded, required(info)))
    for number, name in enumerate(only or ()):
        field = info.field(name)
        if field is None or not field.of_rows:
            parts = ", ".join(_parts(info, field))
            instead = f"; it is made of {parts}" if parts else ""
            yield "fields", number, f"{info.name} has no exportable field {name}{instead}"
    for number, name in enumerate(exclude):
        if folded(name) in needed:
            yield "exclude", number, f"no export of {info.name} can do without {name}"
        elif info.field(name) is None:
            problem = f"{info.name} has no field {name}, so what it was to keep out is not"
            yield "exclude", number, problem


def _parts(info: ObjectInfo, field: FieldInfo | None) -> tuple[str, ...]:
    return info.parts_of(field) if field else ()


def required(info: ObjectInfo) -> tuple[str, ...]:
    """Fields that no export can do without: Id, the cursor, and IsDeleted where there is one."""
    cursor = (info.cursor,) if info.cursor else ()
    return ("Id", *cursor, *(("IsDeleted",) if info.soft_deletes else ()))


def read_soql(path: Path, info: ObjectInfo) -> Query:
    """The query of a user's file, held against the object's describe.

    Comments (`//`, `--`, `/* */`) and a `;` at the end, which the Salesforce CLI's own files have,
    are no part of it. ORDER BY and ALL ROWS are dropped with a warning: both are ours to decide.
    Fields that were there once are left out while they are gone.

    Raises:
        ConfigError: The file cannot be read, or is no query that an export can use.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the file is not UTF-8; save it as that") from None
    text = _bare(text, path)
    clauses = _split(text, path)
    for word, why in _REFUSED.items():
        if word in clauses:
            raise ConfigError(f"{path}: {word} is refused: {why}; remove it")
    fields = tuple(part.strip() for part in clauses["SELECT"].split(","))
    seen: set[str] = set()
    for name in fields:
        if problem := _problem(name, seen, info):
            raise ConfigError(f"{path}:{_line_of(text, name)}: {problem}")
        seen.add(folded(name))
    if not same_name(clauses["FROM"], info.name):
        raise ConfigError(f"{path}: it must read FROM {info.name}, not {clauses['FROM']!r}")
    if missing := [name for name in required(info) if folded(name) not in seen]:
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


def _bare(text: str, path: Path) -> str:
    """A query without comments and what ends it; every character left is on its line.

    Raises:
        ConfigError: A comment has no end, or there is more behind the query's end.
    """

    def replaced(match: re.Match[str]) -> str:
        if match["open"]:
            raise ConfigError(f"{path}:{_line(text, match.start())}: a comment /* has no end")
        return match["string"] or " " + "\n" * match.group().count("\n")

    bare = _STRING_OR_COMMENT.sub(replaced, text).rstrip().rstrip(";").rstrip()
    for match in _TOKEN.finditer(bare):
        if match.group() == ";":
            line = _line(bare, match.start())
            raise ConfigError(f"{path}:{line}: a file holds one query; there is more behind ';'")
    return bare


def _problem(name: str, seen: Collection[str], info: ObjectInfo) -> str | None:
    """Why an export cannot select this; None where it can, or where only the org can tell."""
    if folded(name).startswith("typeof "):
        return (
            "TYPEOF is refused: its columns depend on the row; select the fields that all parents "
            "share, such as What.Name and What.Type"
        )
    if not _FIELD.match(name):
        return f"{name!r} is no field or parent field; an export selects nothing else"
    if folded(name) in seen:
        return f"{name} is selected twice"
    field = info.field(name)
    if "." not in name and field is None:
        return f"{info.name} has no field {name}; correct it, or let this user see it"
    if field and not field.of_rows:
        parts = ", ".join(_parts(info, field))
        instead = f"select {parts} instead" if parts else "take it out"
        return f"{name} is a field of type {field.type}, which is no column; {instead}"
    return None


def _canonical(fields: Sequence[str], info: ObjectInfo) -> tuple[str, ...]:
    """The fields in describe's spelling, so that columns do not change with the user's case."""
    known = Names((field.name, field) for field in info.fields)
    there = [n for n in fields if n not in known or not known[n].gone]
    return tuple(known.spelt(name) for name in there)


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


def _line_of(text: str, name: str) -> int:
    """Line of the last place where a name stands in the list of fields; where else, no matter."""
    select = text[: match.start()] if (match := _FROM.search(text)) else text
    return _line(text, max(select.rfind(name), 0))


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
