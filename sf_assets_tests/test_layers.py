"""Layers import downward only, and heavy engines stay out of what Dagster loads again and again."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sf_assets"
BASE = {
    "addresses", "catalog", "catalog_file", "checks", "describe", "errors", "failures", "naming",
    "privacy", "private", "schema_diff", "settings", "sql", "stopping", "timetable", "windows",
}  # fmt: skip
ALLOWED = {
    "checks": {"checks", "describe", "naming", "privacy", "sql"},
    "salesforce": BASE | {"salesforce"},
    "storage": BASE | {"columns", "storage"},
    "columns": BASE | {"columns"},
    "comparison": BASE | {"columns", "comparison"},
    "warehouse": BASE | {"storage", "columns", "comparison", "warehouse"},
    "pipeline": BASE | {"salesforce", "storage", "columns", "comparison", "warehouse", "pipeline"},
    "emulator": {"emulator"},
}

ENGINES = (
    "warehouse/duckdb", "warehouse/postgres", "warehouse/snowflake", "warehouse/redshift",
    "warehouse/bigquery",
    "comparison/", "emulator/",
)  # fmt: skip
"""Where an engine is used: the warehouse that it is, comparisons in files, and the emulator."""

CLIENTS = (
    "duckdb", "adbc_driver_manager", "adbc_driver_postgresql", "snowflake", "redshift_connector",
    "google.cloud",
)  # fmt: skip


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("layer", ALLOWED)
def test_a_layer_imports_only_what_is_below_it(layer: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in (PACKAGE / layer).rglob("*.py")
        for name in imports(path)
        if name == "dagster"
        or (name.startswith("sf_assets.") and name.split(".")[1] not in ALLOWED[layer])
    ]
    assert wrong == []


def test_only_engines_and_local_calculators_know_an_engine() -> None:
    """The rest asks `warehouse/port.py`; `open.py` says which engine an address is of."""
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in PACKAGE.rglob("*.py")
        for home in ["/".join(path.relative_to(PACKAGE).parts[:2])]
        for name in imports(path)
        if (
            f"{name}.".startswith(tuple(f"{client}." for client in CLIENTS))
            and not home.startswith(ENGINES)
        )
        or any(
            name.startswith(f"sf_assets.warehouse.{engine}")
            and not home.startswith((f"warehouse/{engine}", "warehouse/open.py"))
            for engine in ("duckdb", "postgres", "snowflake", "redshift", "bigquery")
        )
    ]
    assert wrong == []


def test_only_the_command_line_and_the_tests_know_the_emulator() -> None:
    users = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        for name in imports(path)
        if name.startswith("sf_assets.emulator")
    }
    assert users <= {"emulator", "cli", "demo"}


def test_assets_ask_the_pipeline_not_what_is_below_it() -> None:
    """Dagster's definitions translate: what they know of storage and warehouse are plain words."""
    words = {"storage.store", "storage.bucket"}
    words |= {f"warehouse.{name}" for name in ("engines", "gold_sql", "open", "port")}
    below = ("storage", "columns", "comparison", "warehouse")
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in (PACKAGE / "assets").rglob("*.py")
        for name in imports(path)
        for what in [name.removeprefix("sf_assets.")]
        if what != name and what.split(".")[0] in below and what not in words
    ]
    assert wrong == []


def test_only_resources_read_the_environment() -> None:
    """What runs under Dagster is connected by its resources; the command line by `pipeline.org`."""
    readers = {
        str(path.relative_to(PACKAGE))
        for layer in ("assets", "pipeline", "warehouse", "storage", "salesforce")
        for path in (PACKAGE / layer).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name | ast.Attribute | ast.alias)
        for name in [getattr(node, "id", getattr(node, "attr", getattr(node, "name", "")))]
        if name in {"environ", "getenv", "environment", "load_settings", "load_orgs"}
    }
    assert readers == {"assets/resources.py", "pipeline/org.py"}


def test_definitions_load_without_engines_and_without_an_org() -> None:
    program = (
        "import sys; from sf_assets.definitions import defs; import dagster as dg; "
        "dg.Definitions.validate_loadable(defs()); "
        "print([m for m in ('polars', 'duckdb', 'pyarrow', 'obstore', 'simple_salesforce', "
        "'pandas', 'boto3', 'google.cloud') if m in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_the_command_line_is_no_slower_for_the_public_names() -> None:
    program = (
        "import sys, sf_assets, sf_assets.cli; "
        "print([m for m in ('dagster', 'pydantic', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
