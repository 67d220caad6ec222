"""Files that are lost, cut, copied or damaged: one object fails at most, and says which file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets_tests.conftest import Workspace


def lost(raw: Path) -> None:
    next(raw.glob("raw/contact/**/*.parquet")).unlink()


def cut(raw: Path) -> None:
    part = next(raw.glob("raw/contact/**/*.parquet"))
    part.write_bytes(part.read_bytes()[:100])


def copied(raw: Path) -> None:
    manifest = next(raw.glob("manifests/account/*.json"))
    shutil.copy(manifest, raw / "manifests" / "contact" / manifest.name)


def cut_short(raw: Path) -> None:
    manifest = next(raw.glob("manifests/contact/*.json"))
    manifest.write_text(manifest.read_text(encoding="utf-8")[:100], encoding="utf-8")


def hints(raw: Path) -> None:
    """What only saves work: all of it is found out again."""
    for name in ("waiting/x.json", "journal/contact/x.json", "coverage/x.json", "budget.json"):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(b"\xff{")
    for path in raw.glob("describes/*.json"):
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lost, r"raw/contact/.*\.parquet is gone.*restore it, or remove"),
        (cut, r"raw/contact/.*\.parquet is not what was written"),
        (copied, r"manifests/contact/.*is one of Account, so it is a copy; restore"),
        (cut_short, r"manifests/contact/.*cannot be read.*restore it, or remove"),
        (hints, None),
    ],
)
def test_a_damaged_file_harms_no_other_object(
    workspace: Workspace, harm: Callable[[Path], None], told: str | None
) -> None:
    workspace.catalogue({"Account": None, "Contact": None})
    org = workspace.org()
    assert not any(
        done.error for done in execute(org, plan_tick(org, org.catalog.select([])))
    )  # raw alone: silver has still to be made of it
    harm(workspace.folder / "raw" / org.client.org_id)
    errors: dict[str, SfAssetsError] = {}
    org = workspace.org()
    for done in execute(org, plan_tick(org, org.catalog.select([]))):
        if done.error:
            errors[done.slug] = done.error
    for slug in ("account", "contact"):
        try:
            workspace.load(slug)
        except SfAssetsError as error:
            errors[slug] = error
    assert errors.keys() == ({"contact"} if told else set())
    assert workspace.rows("SELECT count(*) > 0 FROM silver.account") == [(True,)]
    if told:
        with pytest.raises(SfAssetsError, match=told):
            raise errors["contact"]
