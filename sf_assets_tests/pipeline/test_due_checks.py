"""Checks are due by what was merged and what was run, not by what a run has just done."""

from typing import Any

import pytest

from sf_assets.checks.builtin import RAW_CHECKS, SILVER_CHECKS, Rejects
from sf_assets.checks.check import Subject
from sf_assets.cli.report import Report, carry_out
from sf_assets.pipeline.planning import backoff
from sf_assets.pipeline.planning.backoff import FailedStep
from sf_assets.pipeline.refresh import refresh
from sf_assets.pipeline.schema.stored_describes import StoredDescribes
from sf_assets.pipeline.status import status
from sf_assets_tests.conftest import Workspace

OBJECTS: dict[str, Any] = {"Account": {}, "Contact": {}}
NEW = {"checks": [{"not_null": "Name"}, {"matches": {"Name": "."}}]}


def run_checks(report: Report) -> set[tuple[str, str]]:
    return {
        (check["asset"], check["check"])
        for check in report.checks
        if check["check"] not in RAW_CHECKS
    }


@pytest.fixture
def loaded(workspace: Workspace) -> Workspace:
    workspace.catalogue(OBJECTS)
    refreshed(workspace)
    assert run_checks(refreshed(workspace)) == set(), "all were run by the first"
    return workspace


def refreshed(workspace: Workspace) -> Report:
    return carry_out([workspace.org()], refresh)


def test_a_check_that_is_new_is_run_by_the_next_refresh(loaded: Workspace) -> None:
    loaded.catalogue(OBJECTS | {"Account": NEW})
    assert run_checks(refreshed(loaded)) == {
        ("silver/account", "not_null_Name"),
        ("silver/account", "matches_Name"),
    }
    assert run_checks(refreshed(loaded)) == set()


def test_checks_that_a_killed_run_left_out_are_run_by_the_next_refresh(loaded: Workspace) -> None:
    loaded.change("DELETE FROM ops.quality WHERE object = 'contact'")
    assert run_checks(refreshed(loaded)) == {("silver/contact", name) for name in SILVER_CHECKS}
    assert run_checks(refreshed(loaded)) == set()


def test_a_check_that_cannot_be_run_is_set_aside_and_keeps_no_other(
    loaded: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.change("DELETE FROM ops.quality")
    with monkeypatch.context() as broken:

        def offenders(_: Rejects, table: Subject) -> dict[str, int]:
            if table.slug == "account":
                raise RuntimeError(table.slug)
            return {}

        broken.setattr(Rejects, "offenders", offenders)
        report = refreshed(loaded)
    assert list(report.errors) == ["account"]
    assert {("silver/contact", "rejects"), ("silver/account", "schema")} <= run_checks(report)
    failing = backoff.lasting_failures(loaded.org().stored_raw, FailedStep.CHECK)
    assert list(failing) == ["account"]
    assert ("silver/account", "rejects") in run_checks(refreshed(loaded)), "it is tried again"
    assert not backoff.lasting_failures(loaded.org().stored_raw, FailedStep.CHECK)


def test_a_check_that_asks_something_else_under_its_name_is_run_again(loaded: Workspace) -> None:
    def between(*ends: int) -> dict[str, Any]:
        check = {"between": {"NumberOfEmployees": ends}, "severity": "error", "blocking": True}
        return OBJECTS | {"Account": {"checks": [check]}}

    outcomes = []
    for most in (99_999_999, 1, 99_999_999):
        loaded.catalogue(between(0, most))
        report = refreshed(loaded)
        outcomes += [check["passed"] for check in report.checks]
        assert run_checks(report) == {("silver/account", "between_NumberOfEmployees")}
    assert outcomes == [True, False, True]
    assert run_checks(refreshed(loaded)) == set()


def test_references_to_an_object_that_is_no_longer_read_are_not_judged(
    loaded: Workspace,
) -> None:
    check = {"checks": [{"references": "AccountId"}]}
    loaded.catalogue({"Contact": check})
    loaded.change("DELETE FROM silver.account")
    loaded.change("DELETE FROM ops.quality")
    found = {check["check"]: check for check in refreshed(loaded).checks}
    assert found["references"]["passed"]
    assert "silver has not" in found["references_AccountId"]["facts"]["reason"]


def test_a_check_that_time_alone_can_change_is_run_again_now_and_then(loaded: Workspace) -> None:
    fresh = {"fresh": "2h", "severity": "error"}
    loaded.catalogue(OBJECTS | {"Account": {"checks": [fresh]}})
    asked = {("silver/account", "fresh")}
    assert run_checks(refreshed(loaded)) == asked
    loaded.change("UPDATE ops.merges SET merged_at = merged_at - INTERVAL 2 HOUR")
    loaded.change("UPDATE ops.quality SET checked_at = checked_at - INTERVAL 29 MINUTE")
    (before,) = loaded.rows("SELECT count(*) FROM ops.quality WHERE \"check\" = 'fresh'")
    refreshed(loaded)
    assert [before] == loaded.rows("SELECT count(*) FROM ops.quality WHERE \"check\" = 'fresh'")
    loaded.change("UPDATE ops.quality SET checked_at = checked_at - INTERVAL 2 MINUTE")
    refreshed(loaded)
    (after,) = loaded.rows("SELECT count(*) FROM ops.quality WHERE \"check\" = 'fresh'")
    assert after[0] == before[0] + 1


def test_an_error_that_stands_is_told_by_each_refresh_and_by_status(loaded: Workspace) -> None:
    check = {"between": {"NumberOfEmployees": [0, 1]}, "severity": "error"}
    loaded.catalogue(OBJECTS | {"Account": {"checks": [check]}})
    (first,) = refreshed(loaded).checks
    assert not first["passed"]
    for _ in range(2):
        (told,) = refreshed(loaded).checks
        assert (told["asset"], told["check"]) == ("silver/account", "between_NumberOfEmployees")
        assert (told["passed"], told["severity"]) == (False, "ERROR")
        assert told["facts"]["offenders"] == first["facts"]["offenders"]
    account, contact = status(loaded.org(), loaded.org().catalog.select([]))
    assert "between_NumberOfEmployees does not pass since" in (account.failing or "")
    assert contact.failing is None
    only = carry_out([loaded.org()], lambda org: refresh(org, ["Contact"]))
    assert only.checks == [], "it is not an object that was named"
    loaded.catalogue(OBJECTS)
    assert refreshed(loaded).checks == [], "nobody asks it any more"


def test_references_are_asked_again_when_the_records_that_they_lead_to_were_merged(
    loaded: Workspace,
) -> None:
    check = {"references": "AccountId", "severity": "error", "blocking": True}
    loaded.catalogue(OBJECTS | {"Contact": {"checks": [check]}})
    asked = ("silver/contact", "references_AccountId")
    assert run_checks(refreshed(loaded)) == {asked}
    assert run_checks(refreshed(loaded)) == set(), "it passed, and nothing was merged"
    loaded.change("UPDATE ops.merges SET merged_at = now() WHERE object = 'account'")
    assert asked in run_checks(refreshed(loaded))


def test_a_picklist_is_asked_again_when_describe_lists_other_values(
    loaded: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = {"in_picklist": "Industry", "severity": "error", "blocking": True}
    loaded.catalogue(OBJECTS | {"Account": {"checks": [check]}})
    assert all(c["passed"] for c in refreshed(loaded).checks)
    org = loaded.org()
    (kept,) = org.stored_raw.describes.last(["account"]).values()
    field = next(f for f in kept.info.fields if f.name == "Industry")
    fewer = field.model_copy(update={"picklist": field.picklist[:1]})
    fields = tuple(fewer if f.name == "Industry" else f for f in kept.info.fields)
    info = kept.info.model_copy(update={"fields": fields})
    monkeypatch.setattr(StoredDescribes, "info", lambda *_: info)
    ((asset, name),) = run_checks(refreshed(loaded))
    assert (asset, name) == ("silver/account", "in_picklist_Industry")
