"""An org whose tables go to two warehouses."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sf_assets.cli.report import Report, carry_out
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline import refresh as commands
from sf_assets.pipeline import scheduled
from sf_assets.pipeline.events import Event
from sf_assets.pipeline.org import load_orgs
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import derived_differences, differences

OBJECTS = ("Account", "Contact", "CampaignMember")


class Several:
    """An org with two warehouses.

    Attributes:
        places: The same workspace with each of them, by name.
    """

    def __init__(self, folder: Path, emulator: Emulator, addresses: Mapping[str, str]) -> None:
        self.emulator = emulator
        self.places = {
            name: Workspace(folder / name, emulator.environment, url)
            for name, url in addresses.items()
        }
        for place in self.places.values():
            place.folder.mkdir(exist_ok=True)
            place.env |= {
                "SF_ASSETS_STORAGE_URL": f"file://{folder}/raw",
                "SF_ASSETS_CATALOG": str(folder / "catalog.yaml"),
            }
        self.main, self.other = self.places.values()
        home = Workspace(folder, emulator.environment, "")
        (folder / "gold").mkdir()
        query = "SELECT count(*) AS n FROM silver.account_live\n"
        (folder / "gold" / "accounts.sql").write_text(query, encoding="utf-8")
        home.catalogue(dict.fromkeys(OBJECTS), gold="gold")
        self.env = dict(self.main.env)
        del self.env["SF_ASSETS_WAREHOUSE_URL"]
        named = [f"{name}={url}" for name, url in addresses.items()]
        self.env["SF_ASSETS_WAREHOUSES"] = ",".join(named)

    def refresh(self) -> Report:
        """`sf-assets refresh`, in this process."""
        self.emulator.advance(60)
        return carry_out(load_orgs(self.env), commands.refresh)

    def tick(self) -> list[Event]:
        """What Dagster's schedule runs."""
        self.emulator.advance(60)
        (org,) = load_orgs(self.env)
        return list(scheduled.tick(org))

    def change(self, text: str) -> None:
        """Have the org say something new of an account, and of a contact."""
        for name, field in (("Account", "Name"), ("Contact", "LastName")):
            key = min(r["Id"] for b in self.emulator.store.table(name) for r in b.to_pylist())
            self.emulator.org.records.update(name, key, {field: text})

    def names(self, place: Workspace, text: str) -> int:
        """How many accounts are called so in a warehouse."""
        return len(place.rows(f"SELECT Id FROM silver.account WHERE Name = '{text}'"))

    def assert_alike(self, *, derived: bool = False) -> None:
        """All tables hold what the org does, and the same provenance, in each warehouse."""
        for name in OBJECTS:
            slug = name.lower()
            for place in self.places.values():
                assert differences(self.emulator, place, name) == []
                assert not derived or derived_differences(self.emulator, place, name) == []
            contents = [
                sorted(
                    map(str, place.rows(f"SELECT Id, _slice, _deleted, _cursor FROM silver.{slug}"))
                )
                for place in self.places.values()
            ]
            assert contents[0] == contents[1], name
        counts = [place.rows("SELECT n FROM gold.accounts") for place in self.places.values()]
        assert counts[0] == counts[1]


@contextmanager
def in_the_way(path: Path) -> Iterator[None]:
    """The file cannot be opened: there is a folder in its place."""
    aside = path.with_suffix(".aside")
    there = path.exists()
    if there:
        path.rename(aside)
    path.mkdir()
    yield
    path.rmdir()
    if there:
        aside.rename(path)


def two_files(folder: Path, emulator: Emulator) -> Several:
    """Two DuckDB files, `main` and `reporting`."""
    names = ("main", "reporting")
    addresses = {name: f"duckdb:///{folder}/{name}/warehouse.duckdb" for name in names}
    return Several(folder, emulator, addresses)
