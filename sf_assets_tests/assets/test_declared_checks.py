"""Declared checks as a user of Dagster and of the command line meets them, on a faulty org."""

from typing import Any

import dagster as dg
import pytest

from sf_assets.checks.builtin import ORG_CHECKS, SILVER_CHECKS
from sf_assets.definitions import defs
from sf_assets.pipeline import refresh as commands
from sf_assets_tests.assets.shared import Shop, evaluate, look, materialized, run_assets, tick

SILVER = dg.AssetKey(["silver", "account"])
CHECKS: list[dict[str, Any]] = [
    {"unique": "Name"},
    {"not_null": ["Name", "Website"]},
    {"in_picklist": "Industry"},
    {"matches": {"Website": "https?://.+"}},
    {"between": {"NumberOfEmployees": [0, 1_000_000]}, "severity": "error"},
    {"references": "ParentId"},
    {"rows": {"change": "20%"}},
    {"fresh": "2h"},
    {"not_null": "Nope__c"},
]
GATE = {"unique": "Name", "severity": "error", "blocking": True}


def test_a_score_says_what_it_does_not_count(shop: Shop) -> None:
    shop.declare()
    shop.org.admin.hide_object("Lead")
    report = shop.refresh()
    (told,) = report.quality
    assert f"never asked: {len(SILVER_CHECKS)} checks of lead; not passed of raw: 3" in told
    shop.org.admin.show_object("Lead")
    assert list(shop.refresh().quality) == [told.partition("; never")[0]]


def test_gold_that_a_killed_run_did_not_build_is_built_by_an_idle_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.declare()
    shop.refresh()
    before = shop.gold("accounts")
    assert before is not None
    shop.account(Name="new")
    with monkeypatch.context() as killed:
        killed.setattr(commands, "_build_due", lambda _: iter(()))
        assert ("silver", "account") in shop.refresh().materialized
    assert shop.gold("accounts") == before
    runner = shop.refresh()
    assert [key for key in runner.materialized if key[0] != "ops"] == [("gold", "accounts")]
    assert shop.gold("accounts") == before + 1
    assert not shop.refresh().materialized, "there is nothing to do any more"


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return {e.check_name: e for e in result.get_asset_check_evaluations() if e.asset_key == SILVER}


def facts(evaluation: Any) -> dict[str, Any]:
    return {name: value.value for name, value in evaluation.metadata.items()}


def plant(shop: Shop) -> dict[str, set[str]]:
    """Accounts that offend, by the check that must find them."""
    gone = shop.account(Name="gone", Website="https://gone.example")
    orphan = shop.account(Name="orphan", Website="http://x", ParentId=gone)
    shop.org.org.records.delete("Account", gone)
    with shop.org.org.records.transaction() as change:
        change.update("Account", [{"Id": orphan, "ParentId": gone}], system=True)
    return {
        "unique_Name": {
            shop.account(Name="Twice & Co", Website="https://a"),
            shop.account(Name="Twice & Co", Website="https://b"),
        },
        "matches_Website": {shop.account(Name="odd site", Website="ftp://x")},
        "between_NumberOfEmployees": {
            shop.account(Name="minus", Website="http://m", NumberOfEmployees=-5)
        },
        "in_picklist_Industry": {
            shop.account(Name="trade", Website="http://t", Industry="Alchemy")
        },
        "not_null_Website": {shop.account(Name="no site")},
        "references_ParentId": {orphan},
    }


def test_every_declared_check_is_an_asset_check_on_silver(shop: Shop) -> None:
    shop.declare(*CHECKS, {**GATE, "unique": ["Name", "Phone"]})
    graph = defs().resolve_asset_graph()
    mine = {k.name: graph.get(k) for k in graph.asset_check_keys if k.asset_key == SILVER}
    assert mine.keys() >= {
        "unique_Name", "not_null_Name", "not_null_Website", "in_picklist_Industry",
        "matches_Website", "between_NumberOfEmployees", "references_ParentId", "rows", "fresh",
        "not_null_Nope__c", "unique_Name_Phone", "ids",
    }  # fmt: skip
    assert not any(node.blocking for node in mine.values()), "it is gold that waits"
    assert mine["unique_Name"].description == "No two live rows have the same Name."


def test_planted_offenders_are_found_within_the_step_that_loads_them(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.declare(*CHECKS)
    planted = plant(shop)
    shop.org.advance(60)
    result = tick(instance)
    assert result.success, "a check that does not pass is no failure of the step"
    found = evaluations(result)
    for name, ids in planted.items():
        evaluation = found[name]
        assert not evaluation.passed, name
        offending = {row[0] for row in shop.workspace.rows(facts(evaluation)["sql"])}
        assert offending & set().union(*planted.values()) == ids, name
        assert facts(evaluation)["offenders"] == len(offending)
        named = facts(evaluation)["ids"].split(", ")
        assert named == sorted(offending)[:10]
    assert found["not_null_Name"].passed
    assert found["fresh"].passed
    assert found["rows"].passed
    assert found["between_NumberOfEmployees"].severity is dg.AssetCheckSeverity.ERROR
    assert found["unique_Name"].severity is dg.AssetCheckSeverity.WARN
    assert facts(found["between_NumberOfEmployees"])["share"] == pytest.approx(
        1 / shop.accounts("silver.account_live"), abs=1e-6
    )


def test_a_field_that_describe_does_not_know_fails_its_check_alone(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.declare(*CHECKS)
    result = tick(instance)
    assert result.success
    assert facts(evaluations(result)["not_null_Nope__c"])["reason"].startswith(
        "describe knows no field Nope__c"
    )
    assert evaluations(result).keys() >= SILVER_CHECKS.keys()
    assert len(evaluations(result)) == 10 + len(SILVER_CHECKS)


def test_no_value_of_a_record_is_told(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.declare(*CHECKS)
    for _ in range(2):
        shop.account(Name="S3cret Name", Website="S3cret site", Industry="S3cret trade")
    shop.org.advance(60)
    result = tick(instance)
    declared = [e for name, e in evaluations(result).items() if name != "picklists"]
    assert "S3cret" not in str([facts(e) for e in declared])
    assert shop.workspace.rows("SELECT count(*) FROM ops.quality WHERE reason LIKE '%S3cret%'") == [
        (0,)
    ]


def test_checks_run_alone_and_every_morning(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.declare(*CHECKS)
    tick(instance)
    alone = (
        defs()
        .resolve_implicit_global_asset_job_def()
        .get_subset(asset_check_selection={dg.AssetCheckKey(SILVER, "unique_Name")})
        .execute_in_process(instance=instance)
    )
    assert list(evaluations(alone)) == ["unique_Name"]
    morning = defs().resolve_job_def("daily_checks").execute_in_process(instance=instance)
    assert len(evaluations(morning)) == 10 + len(SILVER_CHECKS | ORG_CHECKS)
    times = shop.workspace.rows(
        "SELECT \"check\", count(*) FROM ops.quality WHERE object = 'account' GROUP BY 1"
    )
    asked = dict.fromkeys(evaluations(morning), 2) | dict.fromkeys(ORG_CHECKS, 1)
    assert dict(times) == asked | {"unique_Name": 3}


@pytest.mark.slow
def test_a_blocking_check_keeps_gold_until_it_passes(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    (shop.workspace.folder / "gold" / "daily.sql").write_text(
        "SELECT $day::DATE AS day, count(*) AS n FROM raw.account, silver.account GROUP BY 1"
    )
    shop.declare({"unique": "AccountNumber", "severity": "error", "blocking": True})
    assert tick(instance).success
    assert materialized(*look(instance)) == {"gold/accounts", "gold/leads", "gold/daily"}
    before = shop.gold("accounts")
    _, two = (shop.account(Name=name, AccountNumber="7") for name in ("a", "b"))
    shop.org.advance(60)
    result = tick(instance)
    assert result.success, "gold is held; silver is as it should be"
    check = evaluations(result)["unique_AccountNumber"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    (told,) = evaluate(instance).skip_message.split("; daily: ")[:1]
    assert "accounts: held by blocking checks: account: unique_AccountNumber did not pass" in told
    assert "2 offenders; ops.to_fix says what to do" in told
    (failure,) = run_assets(instance, {dg.AssetKey(["gold", "accounts"])}).get_step_failure_events()
    assert "gold.accounts is held by blocking checks" in str(failure.step_failure_data.error)
    # A later tick that has nothing to do with it changes nothing.
    shop.org.org.records.insert("Lead", {"LastName": "new", "Company": "c"})
    shop.org.advance(60)
    assert tick(instance).success
    assert materialized(*look(instance)) == {"gold/leads"}
    assert shop.gold("accounts") == before
    shop.org.org.records.update("Account", two, {"AccountNumber": "8"})
    shop.org.advance(60)
    assert tick(instance).success
    assert materialized(*look(instance)) == {"gold/accounts", "gold/daily"}
    assert shop.gold("accounts") == (before or 0) + 2


def test_a_blocking_check_that_was_not_asked_is_asked_before_gold_is_built(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    """As when a run was killed before its checks, or the catalogue asks for another."""
    shop.declare()
    shop.workspace.tick()
    shop.declare({"not_null": "Name", "severity": "error", "blocking": True})
    built_now, asked = look(instance)
    assert materialized(built_now) == {"gold/leads"}
    assert [e.check_name for e in asked.get_asset_check_evaluations()] == ["not_null_Name"]
    assert materialized(*look(instance)) == {"gold/accounts"}
    assert look(instance) == []


@pytest.mark.slow
def test_refresh_does_not_build_gold_on_what_a_blocking_check_refuses(shop: Shop) -> None:
    shop.declare({"unique": "AccountNumber", "severity": "error", "blocking": True})
    assert shop.refresh().errors == {}
    before = shop.gold("accounts")
    leads = shop.gold("leads")
    assert before == shop.accounts("silver.account_live")
    two = [shop.account(Name=name, AccountNumber="7") for name in ("a", "b")]
    shop.org.org.records.insert("Lead", {"LastName": "new", "Company": "c"})
    refused = shop.refresh()
    assert "unique_AccountNumber" in refused.errors["gold/accounts"]
    assert "ops.to_fix" in refused.errors["gold/accounts"]
    assert (shop.gold("accounts"), shop.gold("leads")) == (before, (leads or 0) + 1)
    assert shop.accounts("silver.account_live") == (before or 0) + 2
    # Nothing has changed, and still nobody is told that all is well.
    assert "gold/accounts" in shop.refresh().errors
    assert shop.gold("accounts") == before
    shop.org.org.records.update("Account", two[0], {"AccountNumber": "8"})
    assert shop.refresh().errors == {}
    assert shop.gold("accounts") == (before or 0) + 2


@pytest.mark.slow
def test_refresh_builds_gold_late_when_the_catalogue_no_longer_asks(shop: Shop) -> None:
    shop.declare(GATE, {"not_null": "Name"})
    for _ in range(2):
        shop.account(Name="Twice")
    assert "gold/accounts" in shop.refresh().errors
    assert shop.gold("accounts") is None
    assert shop.gold("leads") is not None
    shop.declare({**GATE, "blocking": False})
    assert shop.refresh().errors == {}
    assert shop.gold("accounts") == shop.accounts("silver.account_live")
    shop.account(Name="another")
    shop.declare(GATE)
    shop.refresh()
    held = shop.gold("accounts")
    shop.declare()
    assert shop.refresh().errors == {}
    assert shop.gold("accounts") == (held or 0) + 1


def test_references_are_asked_once_all_objects_are_loaded(shop: Shop) -> None:
    gate = {"references": "AccountId", "severity": "error", "blocking": True}
    objects = {"Contact": {"checks": [gate]}, "Account": {"grain": "monthly"}, "Lead": None}
    shop.workspace.catalogue(objects, start="2026-10-01", gold="gold")
    report = shop.refresh()
    assert report.errors == {}
    outcomes = {(c["asset"], c["check"]): c["passed"] for c in report.checks}
    assert outcomes["silver/contact", "references_AccountId"]
    answers = "SELECT passed, reason FROM ops.quality WHERE \"check\" = 'references_AccountId' "
    assert shop.workspace.rows(answers) == [(True, "")]


def test_scores_are_kept_plotted_and_explained(shop: Shop) -> None:
    shop.declare({"unique": "AccountNumber", "severity": "error"}, {"not_null": "AccountNumber"})
    for number in ("7", "7", "8", "9"):
        shop.account(Name=f"number {number}", AccountNumber=number)
    report = shop.refresh()
    metadata = report.materialized["ops", "quality"]
    rows = shop.accounts("silver.account_live")
    (missing,) = shop.workspace.rows(
        "SELECT count(*) FROM silver.account_live WHERE AccountNumber IS NULL"
    )[0]
    shares = {
        (c, s): 1 - (0 if passed else min((n or 0) / rows, 1) if n is not None else 1)
        for c, s, passed, n in shop.workspace.rows(
            'SELECT "check", severity, passed, offenders FROM ops.quality '
            "WHERE object = 'account'"
        )
    }
    assert shares["unique_AccountNumber", "error"] == pytest.approx(1 - 2 / rows)
    assert shares["not_null_AccountNumber", "warn"] == pytest.approx(1 - missing / rows)
    weights = {"error": 3, "warn": 1}
    expected = sum(v * weights[s] for (_, s), v in shares.items()) / sum(
        weights[s] for _, s in shares
    )
    assert metadata["score/account"] == pytest.approx(100 * expected)
    overall = (metadata["score/account"] + metadata["score/lead"]) / 2
    assert metadata["score"] == pytest.approx(overall)
    assert all(isinstance(metadata[name], float) for name in ("score", "score/account"))
    scored = dict(shop.workspace.rows("SELECT object, score FROM ops.quality_scores"))
    assert scored == {
        None: metadata["score"], "account": metadata["score/account"],
        "lead": metadata["score/lead"],
    }  # fmt: skip


@pytest.mark.slow
def test_what_to_fix_is_listed_worst_first_since_it_was_first_seen(shop: Shop) -> None:
    shop.declare(
        {"not_null": "Nope__c"},
        {"unique": "AccountNumber", "severity": "error"},
        {"not_null": "AccountNumber"},
    )
    shop.refresh()
    query = (
        'SELECT "check", offenders, ids, first_seen, checked_at, what_to_do FROM ops.to_fix '
        "WHERE object = 'account' AND \"check\" LIKE '%\\_\\_%' ESCAPE '\\' "
        "OR \"check\" LIKE '%AccountNumber' ORDER BY place"
    )
    assert [row[0] for row in shop.workspace.rows(query)] == [
        "not_null_Nope__c", "not_null_AccountNumber",
    ]  # fmt: skip
    ids = {shop.account(Name="n", AccountNumber="7") for _ in range(2)}
    shop.refresh()
    shop.account(Name="n", AccountNumber="8")
    shop.refresh()
    worst, unknown, missing = shop.workspace.rows(query)
    assert (worst[0], worst[1], set(worst[2])) == ("unique_AccountNumber", 2, ids)
    assert "merge these records" in worst[5]
    assert unknown[:3] == ("not_null_Nope__c", None, [])
    assert unknown[5] == "describe knows no field Nope__c; correct it in the catalogue"
    assert missing[3] < worst[3] < worst[4] == missing[4]
    for account in ids:
        shop.org.org.records.update("Account", account, {"AccountNumber": account})
    shop.refresh()
    assert "unique_AccountNumber" not in [row[0] for row in shop.workspace.rows(query)]


def test_what_to_fix_is_listed_though_nobody_scores(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.declare({"not_null": "Nope__c"})
    tick(instance)
    query = "SELECT what_to_do FROM ops.to_fix WHERE \"check\" = 'not_null_Nope__c'"
    (listed,) = shop.workspace.rows(query)
    assert "describe knows no field Nope__c" in listed[0]
    assert shop.workspace.rows("FROM ops.quality_scores") == []


@pytest.mark.slow
def test_the_row_count_is_compared_with_the_objects_own_history(shop: Shop) -> None:
    shop.declare({"rows": {"change": "20%"}, "severity": "error"})
    for number in range(5):
        shop.account(Name=f"reading {number}")
        report = shop.refresh()
        assert [c["passed"] for c in report.checks if c["check"] == "rows"] == [True]
    for number in range(shop.accounts("silver.account_live") // 4 + 2):
        shop.account(Name=f"mass load {number}")
    (check,) = [c for c in shop.refresh().checks if c["check"] == "rows"]
    assert not check["passed"]
    counts = [int(row[0]) for row in shop.workspace.rows(READINGS)]
    usual = sorted(counts[:5])[2]
    assert check["facts"]["median of earlier readings"] == usual
    assert check["facts"]["change"] == f"{(counts[5] - usual) / usual:+.2%}"


READINGS = "SELECT rows FROM ops.quality WHERE \"check\" = 'rows' ORDER BY checked_at"


def test_the_score_is_built_when_checks_ran(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.declare({"unique": "Name"})
    key = dg.AssetKey(["ops", "quality"])
    first = dg.evaluate_automation_conditions(defs(), instance)
    assert first.get_num_requested(key) == 0
    tick(instance)
    second = dg.evaluate_automation_conditions(defs(), instance, cursor=first.cursor)
    assert second.get_num_requested(key) == 1
    assert run_assets(instance, {key}).success
    third = dg.evaluate_automation_conditions(defs(), instance, cursor=second.cursor)
    assert third.get_num_requested(key) == 0
    defs().resolve_job_def("daily_checks").execute_in_process(instance=instance)
    fourth = dg.evaluate_automation_conditions(defs(), instance, cursor=third.cursor)
    assert fourth.get_num_requested(key) == 1
    assert defs().resolve_asset_graph().get(key).group_name == "ops"
