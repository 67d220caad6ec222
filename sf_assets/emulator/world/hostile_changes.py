"""What an exporter finds hard: records that vanish, merge, or change without a trace."""

from datetime import date

from sf_assets.emulator.world.actor import Actor
from sf_assets.emulator.world.drafts import Record
from sf_assets.emulator.world.user_changes import NO_CASES

# How often each change happens, by name, beside those of the office.
UPHEAVAL = {
    "record purged": 2,
    "live record purged": 2,
    "bin emptied": 1,
    "account deleted": 1,
    "showcase deleted": 1,
    "accounts merged": 1,
    "leads merged": 1,
    "parent renamed": 4,
    "item changed": 4,
    "item created": 3,
    "changed twice": 3,
    "mass updated": 2,
}
_FEW, _MANY = 20, 200


class Upheaval(Actor):
    """Changes that are rarer than daily work; each method makes one if it finds records for it."""

    def _record_purged(self) -> bool:
        """Somebody empties one record out of the recycle bin."""
        found = self._take_deleted()
        if found is None:
            return False
        self._org.purge(*found)
        return True

    def _live_record_purged(self) -> bool:
        """A hard delete, which passes the recycle bin by."""
        name = self._rng.choice(("Task", "Lead", "Showcase_Item__c"))
        record = self._some(name, 'NOT "IsConverted"' if name == "Lead" else None)
        if record is None:
            return False
        self._org.purge(name, record["Id"])
        return True

    def _bin_emptied(self) -> bool:
        """Somebody empties the whole recycle bin."""
        gone, self._deleted = self._deleted, []
        for name, key in gone:
            self._org.purge(name, key)
        return bool(gone)

    def _account_deleted(self) -> bool:
        """An account goes with its contacts, opportunities and activities."""
        cases = NO_CASES.format("Account") if self._some("Case") else None
        return self._delete("Account", self._some("Account", cases))

    def _showcase_deleted(self) -> bool:
        """A master goes with its details."""
        return self._delete("Showcase__c", self._some("Showcase__c"))

    def _accounts_merged(self) -> bool:
        return self._merged("Account", None)

    def _leads_merged(self) -> bool:
        return self._merged("Lead", 'NOT "IsConverted"')

    def _parent_renamed(self) -> bool:
        """Formulas of the children show the new name at once; the children's stamps stay."""
        showcase = self._some("Showcase__c", '"Account__c" IS NOT NULL')
        chosen = f"\"Id\" = '{showcase['Account__c']}'" if showcase else None
        account = self._some("Account", chosen)
        if account is None:
            return False
        self._org.update("Account", account["Id"], {"Name": self._draft.company()["Name"]})
        return True

    def _item_changed(self) -> bool:
        """The roll-up of the master shows the new sum at once; the master's stamp stays."""
        return self._update("Showcase_Item__c", None, self._item())

    def _item_created(self) -> bool:
        master = self._some("Showcase__c")
        if master is None:
            return False
        self._org.insert("Showcase_Item__c", {"Showcase__c": master["Id"], **self._item()})
        return True

    def _changed_twice(self) -> bool:
        """Two versions of a record, mostly within one second."""
        name = self._rng.choice(("Account", "Contact", "Lead"))
        record = self._some(name, 'NOT "IsConverted"' if name == "Lead" else None)
        if record is None:
            return False
        for _ in range(2):
            self._org.update(name, record["Id"], {"Phone": self._draft.phone()})
        return True

    def _mass_updated(self) -> bool:
        """Many records get one stamp."""
        name = self._rng.choice(("Contact", "Lead", "Task", "Showcase_Item__c"))
        keys = self._org.sample_ids(name, None, self._rng, self._rng.randrange(_FEW, _MANY))
        text = {"Description": self._draft.text()}
        if keys:
            self._org.update_all(name, keys, self._item() if name.endswith("__c") else text)
        return bool(keys)

    def _merged(self, name: str, condition: str | None) -> bool:
        master = self._some(name, condition)
        if master is None:
            return False
        other = f"\"Id\" <> '{master['Id']}'" + (f" AND {condition}" if condition else "")
        return self._merge(name, master, self._some(name, other))

    def _item(self) -> Record:
        day: date = self._today()
        return {
            "Amount__c": round(self._rng.uniform(1, 5000), 2),
            "Quantity__c": float(self._rng.randrange(1, 100)),
            "Shipped__c": day,
        }
