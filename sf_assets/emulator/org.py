"""The org: its identity, its user, and everything that its resources share."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from sf_assets.emulator.administrator import Administrator
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.cursors import Cursors
from sf_assets.emulator.definitions import Definitions
from sf_assets.emulator.ids import id_at
from sf_assets.emulator.jobs import Jobs
from sf_assets.emulator.limits import Limits, RecordCounts
from sf_assets.emulator.messages import Request
from sf_assets.emulator.records import Records, Transaction
from sf_assets.emulator.restrictions import Restrictions
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.sessions import Sessions
from sf_assets.emulator.settings import Settings
from sf_assets.emulator.soql.compiler import compile_query
from sf_assets.emulator.soql.plan import Plan
from sf_assets.emulator.store import Store, quoted

T = TypeVar("T")
_OF_DEFINITIONS = re.compile(r"\bFROM\s+(Entity|Field)Definition\b", re.IGNORECASE)


@dataclass(frozen=True)
class User:
    """The one user who can log in."""

    id: str
    username: str
    name: str
    email: str
    profile_id: str | None


class Org:
    """One org.

    Attributes:
        schema: Its objects, as its user sees them.
        admin: Changes them, and what the user sees.
        instance: Address at which sessions are known; None for any by which the org is reached.

    Args:
        schema: Its objects.
        store: Its records; they are all loaded.
        clock: Its time.
        settings: How it behaves.
        seed: Distinguishes this org's Id from those of others; used when the store is new.
        listen: Makes it answer at one more address, and says at which.
    """

    def __init__(
        self,
        schema: Schema,
        store: Store,
        clock: Clock,
        settings: Settings,
        seed: int = 0,
        *,
        listen: Callable[[], str] | None = None,
    ) -> None:
        self.instance: str | None = None
        self._listen = listen
        # Of its own: what an administrator does here must not reach other orgs.
        everything = Schema(schema)
        self.schema = Schema(everything, whole=everything)
        self.store = store
        self.clock = clock
        self.settings = settings
        self._settle(seed)
        self.id = store.setting("org_id") or ""
        self.name = self._organization_name()
        self.user = self._user()
        self.sessions = Sessions(self.id, clock, settings.token_seconds)
        self.records = Records(everything, store, clock, self.user.id)
        self.limits = Limits(
            store,
            clock,
            daily_api_requests=settings.daily_api_requests,
            daily_query_jobs=settings.daily_query_jobs,
            daily_query_kb=settings.daily_query_kb,
        )
        self.counts = RecordCounts(clock, self._live_rows)
        self.restrictions = Restrictions(self._looked_at)
        self.cursors = Cursors(store)
        self.jobs = Jobs(store, clock, self.limits, settings)
        self.admin = Administrator(everything, self.schema, store, clock, self._last_modified())
        self.definitions = Definitions(self.schema, self.admin, store)

    @property
    def schema_modified(self) -> datetime:
        """When any describe was changed last."""
        return self.admin.modified

    def compile(self, text: str, *, all_rows: bool = False, definitions: bool = False) -> Plan:
        """Understand a query at the org's present time.

        Args:
            text: SOQL.
            all_rows: Whether deleted rows are among the answers.
            definitions: Whether it may be of the definitions of objects and fields.

        Raises:
            ApiError: If Salesforce would refuse it.
        """
        asked = definitions and _OF_DEFINITIONS.search(text)
        schema = self.definitions.schema() if asked else self.schema
        return compile_query(schema, text, now=self._plain_now(), all_rows=all_rows)

    def rows(
        self, request: Request, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """All rows of a small query, as the request's transaction sees them if it has one."""
        if request.transaction is not None:
            return request.transaction.tables.execute(sql, parameters)
        return self.store.rows(sql, dict(parameters or {}))

    def write(self, request: Request, work: Callable[[Transaction], T]) -> T:
        """Change records in the name of whoever asks, in the request's transaction or a new one."""
        if request.transaction is not None:
            return work(request.transaction)
        return self.records.run(work, request.user_id)

    def table_rows(self, object_name: str) -> int:
        """Rows of an object's table, deleted ones included."""
        return int(self.store.rows(f"SELECT count(*) FROM {quoted(object_name)}")[0][0])

    def advance(self, seconds: float) -> None:
        """Move the clock on; what was held until then is committed."""
        self.clock.advance(seconds)
        self.records.commit_due()

    def move(self) -> str:
        """Have another address from now on, which logins name: the old one takes only logins.

        Raises:
            ValueError: It is served by somebody who knows no other address.
        """
        if self._listen is None:
            raise ValueError("the org cannot listen at another address")
        self.instance = self._listen()
        return self.instance

    def close(self) -> None:
        """Keep the counts with the org, and end everything that runs or is open."""
        self.limits.save()
        self.records.close()
        self.jobs.close()
        self.cursors.close()

    def _plain_now(self) -> datetime:
        return self.clock.stamp().replace(tzinfo=None)

    def _live_rows(self, object_name: str) -> int:
        plan = self.compile(f"SELECT COUNT() FROM {object_name}")
        sql = plan.count_sql()
        return int(self.store.rows(sql, plan.bound(sql))[0][0])

    def _looked_at(self, plan: Plan) -> int:
        sql = plan.looked_at_sql()
        return int(self.store.rows(sql, plan.bound(sql))[0][0])

    def _settle(self, seed: int) -> None:
        """Give a new org its Id, and its user the name by which he logs in."""
        if self.store.setting("org_id") is not None:
            return
        org_id = self._first("Organization", ("Id",))
        self.store.keep("org_id", org_id[0] if org_id else id_at("00D", seed + 1))
        user = self._first("User", ("Id",))
        if user:
            self.store.rows(
                'UPDATE "User" SET "Username" = $name WHERE "Id" = $id',
                {"name": self.settings.credentials.username, "id": user[0]},
            )

    def _first(self, object_name: str, columns: tuple[str, ...]) -> tuple[str, ...] | None:
        """Some columns of the first active record of an object, if the org has any."""
        sobject = self.schema.get(object_name)
        if sobject is None or not all((f := sobject.field(c)) and f.stored for c in columns):
            return None
        active = 'WHERE "IsActive"' if sobject.field("IsActive") else ""
        names = ", ".join(quoted(c) for c in columns)
        rows = self.store.rows(
            f'SELECT {names} FROM {quoted(object_name)} {active} ORDER BY "Id" LIMIT 1'
        )
        return rows[0] if rows else None

    def _organization_name(self) -> str:
        found = self._first("Organization", ("Name",))
        return found[0] if found else "Emulator"

    def _user(self) -> User:
        username = self.settings.credentials.username
        found = self._first("User", ("Id", "FirstName", "LastName", "Email", "ProfileId"))
        if found is None:
            return User(id_at("005", 1), username, "Emulator User", username, None)
        user_id, first, last, email, profile = found
        name = " ".join(part for part in (first, last) if part)
        return User(user_id, username, name, email or username, profile)

    def _last_modified(self) -> datetime:
        """When the describes last changed: remembered with the org, by their checksum."""
        documents = [dict(o.document) for o in self.schema]
        checksum = hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()
        kept = json.loads(self.store.setting("schema") or "{}")
        if kept.get("checksum") != checksum:
            kept = {"checksum": checksum, "modified": self.clock.stamp().isoformat()}
            self.store.keep("schema", json.dumps(kept))
        return datetime.fromisoformat(kept["modified"]).astimezone(UTC)
