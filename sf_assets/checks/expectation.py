"""What all kinds of declared checks share: names, severity, and how the query's answer is told.

A check that cannot be asked, as when the org has no such field, has not passed and says why.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from sf_assets.checks.check import (
    Described,
    Facts,
    Finding,
    Severity,
    Subject,
    TableColumn,
    UnaskableError,
)
from sf_assets.naming import ApiName
from sf_assets.privacy import Treatment

EXAMPLES = 10
"""Most Ids of offenders that a finding names."""


def refused(problem: str) -> PydanticCustomError:
    """The error of an entry of `checks` that makes no sense."""
    return PydanticCustomError("check", "{problem}", {"problem": problem})


class Expectation(BaseModel):
    """One entry of `checks`.

    Attributes:
        severity: How bad a failure is.
        blocking: Whether gold waits until it passes.
        word: What the catalogue calls this kind.
        claim: What must hold, in a sentence with room for the fields and the bound.
        cure: What to do about offenders, likewise.
        of_others: Whether the answer can change when other objects are loaded.
        sees: What may have been done to values that it can be asked about all the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity = Severity.WARN
    blocking: bool = False
    word: ClassVar[str]
    claim: ClassVar[str]
    cure: ClassVar[str]
    of_others: ClassVar[bool] = False
    sees: ClassVar[frozenset[Treatment]] = frozenset()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it asks about; none when it asks about the table."""
        return self._fields()

    @property
    def name(self) -> str:
        """Name of the check, such as `unique_Name`."""
        return "_".join((self.word, *self.fields))

    def definition(self, describe: Described) -> str:
        """What it asks of an object, as a digest: an answer to something else counts no more."""
        del describe  # most ask the same, whatever it says
        text = self.model_dump_json(exclude={"severity", "blocking"})
        return sha256(text.encode()).hexdigest()[:16]

    @property
    def good_for(self) -> timedelta | None:
        """How long an answer counts while nothing changes; None for as long as that is."""
        return None

    @property
    def severe(self) -> bool:
        """Whether a failure is an error."""
        return self.severity is Severity.ERROR

    @property
    def asks(self) -> str:
        """What must hold."""
        return self.claim.format(fields=" and ".join(self.fields), bound=self._bound())

    @property
    def remedy(self) -> str:
        """What to do about offenders."""
        return self.cure.format(fields=" and ".join(self.fields))

    def each(self) -> Iterator["Expectation"]:
        """The checks that it stands for: one for each field, unless it asks of them together."""
        yield self

    def ask(self, table: Subject) -> Finding:
        """Ask it of an object that has a table. Never raises for what the data holds."""
        sql = ""
        try:
            sql, facts = self.query(table)
            return self._answer(table, sql, facts)
        except UnaskableError as error:
            return self._finding(table, reason=str(error))
        except table.silver.Error as error:
            # Its own words may hold a value of a record.
            reason = f"the warehouse refused ({type(error).__name__}); run the SQL to see why"
            return self._finding(table, reason=reason, sql=sql)

    @abstractmethod
    def query(self, table: Subject) -> tuple[str, Facts]:
        """The query that tells, and what else is to be said.

        Raises:
            UnaskableError: It makes no sense of this table.
        """

    @abstractmethod
    def _answer(self, table: Subject, sql: str, facts: Facts) -> Finding:
        """What the query's answer means."""

    def _finding(
        self,
        table: Subject,
        *,
        passed: bool = False,
        facts: Facts | None = None,
        offenders: int | None = None,
        ids: tuple[str, ...] = (),
        reason: str = "",
        sql: str = "",
    ) -> Finding:
        told: Facts = {"live rows": table.rows, **(facts or {})}
        if offenders is not None:
            told["offenders"] = offenders
            told["share"] = round(offenders / table.rows, 6) if table.rows else 0.0
        told |= {"ids": ", ".join(ids)} if ids else {}
        told |= {"reason": reason} if reason else {}
        told |= {"sql": table.silver.spelled(sql)} if sql else {}
        return Finding(
            table.slug, self.name, passed, self.severe, told, offenders, ids, reason,
            self.definition(lambda: table.info),
        )  # fmt: skip

    def _fields(self) -> tuple[str, ...]:
        return ()

    def _bound(self) -> str:
        return ""

    @model_validator(mode="after")
    def _only_errors_block(self) -> Self:
        if self.blocking and not self.severe:
            raise refused("blocking: true asks for severity: error beside it")
        return self


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Fields = Annotated[tuple[ApiName, ...], BeforeValidator(_listed), Field(min_length=1)]
"""Names of fields; a single one may be written without a list."""


class OfRows(Expectation):
    """What is asked of each live row; those that meet a condition offend."""

    def query(self, table: Subject) -> tuple[str, Facts]:
        """The query of the rows that offend, and what else is to be said."""
        columns = [table.column(name) for name in self.fields]
        for name in self.fields:
            if name in table.treated and table.treated[name] not in self.sees:
                raise UnaskableError(f"silver has {name} as a {table.treated[name]} alone")
        return table.ids(self.offence(columns)), self._facts(columns)

    @abstractmethod
    def offence(self, columns: Sequence[TableColumn]) -> str:
        """The condition that a row t meets which offends."""

    def _facts(self, columns: Sequence[TableColumn]) -> Facts:
        del columns
        return {}

    def _answer(self, table: Subject, sql: str, facts: Facts) -> Finding:
        found = table.silver.select(
            f'WITH found AS MATERIALIZED ({sql}) SELECT "Id", (SELECT count(*) FROM found) '
            f'FROM found ORDER BY "Id" LIMIT {EXAMPLES}'
        )
        offenders, ids = found[0][1] if found else 0, tuple(name for name, _ in found)
        return self._finding(
            table, passed=not offenders, facts=facts, offenders=offenders, ids=ids, sql=sql
        )


class FieldByField(OfRows):
    """A list of fields that are asked about one by one."""

    listed: Fields

    def _fields(self) -> tuple[str, ...]:
        return self.listed

    def each(self) -> Iterator[Expectation]:
        """One check for each field."""
        for field in self.listed:
            yield self.model_copy(update={"listed": (field,)})
