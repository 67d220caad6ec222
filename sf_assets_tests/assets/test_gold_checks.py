"""A check of one's own on a gold table, as docs/gold.md has it."""

import re
from pathlib import Path
from typing import Any

import dagster as dg

from sf_assets import WarehouseResource
from sf_assets.definitions import defs
from sf_assets_tests.assets.shared import Shop

GUIDE = Path(__file__).parents[2] / "docs" / "gold.md"


def test_a_gold_table_takes_a_check_of_ones_own(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.declare()
    table = "SELECT 1 AS amount, unnest([0.5, 2]) AS weighted_amount FROM silver.account"
    path = shop.workspace.folder / "gold" / "pipeline_by_account.sql"
    path.write_text(table, encoding="utf-8")
    shop.org.advance(60)
    shop.workspace.tick()
    (code,) = re.findall(r"```python\n(@dg.asset_check.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"dg": dg, "WarehouseResource": WarehouseResource}
    exec(code, names)  # noqa: S102 (our own guide)
    check = names["weights_are_no_more_than_amounts"]

    def passes() -> bool:
        whole = dg.Definitions.merge(defs(), dg.Definitions(asset_checks=[check]))
        job = whole.resolve_implicit_global_asset_job_def()
        run = job.get_subset(
            asset_selection={dg.AssetKey(["gold", "pipeline_by_account"])}
        ).execute_in_process(instance=instance, raise_on_error=False)
        (answer,) = run.get_asset_check_evaluations()
        return answer.passed

    assert not passes(), "some of it weighs too much"
    path.write_text(table.replace("2]", "1]"), encoding="utf-8")
    assert passes()
