"""An object that the org answers oddly about: it fails by name or is read right, as all others are.

What the org says is altered on its way to us, of one of three objects, whichever call asks for it.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
import requests

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.extraction import duplicate_ids as seen
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets.salesforce.session import OrgSession
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences
from sf_assets_tests.pipeline.test_isolation import OBJECTS, VICTIM, Company

MORE = pytest.mark.more
Document = dict[str, Any]
DEEP = "[" * 50_000 + "]" * 50_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Company, Path]]:
    """A company, and a folder with all there was before it changed for the first time."""
    clock = Clock(datetime(2026, 11, 20, 15, 30, tzinfo=UTC), frozen=True)
    settings = Settings(job_seconds=0.0, faults=True)
    with Emulator(schema=standard_schema(), settings=settings, clock=clock) as emulator:
        company = Company(emulator)
        for number in range(3):
            emulator.records.insert("Contact", {"LastName": f"C{number}"})
        emulator.advance(60)
        workspace = Workspace(tmp_path_factory.mktemp("first"), emulator.environment)
        workspace.catalogue(dict.fromkeys(OBJECTS))
        assert not any(done.error for done in workspace.tick().values())
        yield company, workspace.folder


@pytest.fixture
def company(shared: tuple[Company, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    monkeypatch.setattr("sf_assets.salesforce.session._LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("sf_assets.salesforce.session._FIRST_PAUSE", 0.01)
    yield shared[0]
    faults = shared[0].emulator.faults
    assert faults is not None
    faults.clear()


@pytest.fixture
def workspace(tmp_path: Path, shared: tuple[Company, Path], company: Company) -> Workspace:
    """A workspace that has read all there was at first."""
    shutil.copytree(shared[1], tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path, company.emulator.environment)


def ticked(workspace: Workspace) -> dict[str, SfAssetsError]:
    """What fails in a tick of all objects, silver included."""
    org = workspace.org()
    failed: dict[str, SfAssetsError] = {}
    for done in execute(org, plan_tick(org, org.catalog.select([]))):
        try:
            workspace.load(done.slug, org)
        except SfAssetsError as error:
            failed[done.slug] = error
        if done.error:
            failed[done.slug] = done.error
    return failed


def only_the_victim_fails(workspace: Workspace, company: Company) -> SfAssetsError | None:
    """A tick after which all others are as in the org, and the victim is, or has failed by name."""
    failed = ticked(workspace)
    assert failed.keys() <= {VICTIM}, failed
    right = {name for name in OBJECTS if not differences(company.emulator, workspace, name)}
    assert right >= set(OBJECTS) - {"Contact"}
    error = failed.get(VICTIM)
    assert error or "Contact" in right, "neither read right nor said to fail"
    assert "Traceback" not in str(error)
    return error


def all_is_right(workspace: Workspace, company: Company) -> None:
    assert ticked(workspace) == {}
    for name in OBJECTS:
        assert differences(company.emulator, workspace, name) == []


def alter(
    monkeypatch: pytest.MonkeyPatch, concerns: str, change: Callable[[Document], Any]
) -> list[str]:
    """Have answers to questions that match changed, also as a part of a call with others."""
    send, altered = OrgSession.send, list[str]()

    def changed(url: str, body: Any) -> Any:
        if not re.search(concerns, unquote_plus(url)):
            return body
        altered.append(url)
        return change(body)

    def sent(self: OrgSession, request: requests.PreparedRequest, **options: Any) -> Any:
        response = send(self, request, **options)
        url = str(request.url)
        if url.endswith("/composite"):
            asked = json.loads(request.body or "{}")["compositeRequest"]
            document = response.json()
            for question, part in zip(asked, document["compositeResponse"], strict=True):
                part["body"] = changed(question["url"], part["body"])
        elif re.search(concerns, unquote_plus(url)):
            document = changed(url, response.json())
        else:
            return response
        response._content = json.dumps(document).replace('"DEEP"', DEEP).encode()  # noqa: SLF001
        return response

    monkeypatch.setattr(OrgSession, "send", sent)
    return altered


def without_an_id(document: Document) -> Document:
    return {**document, "fields": [f for f in document["fields"] if f["name"] != "Id"]}


def another(name: str) -> Document:
    return {"name": name, "type": "string"}


def half_labelled(field: Document) -> Document:
    return {**field, "label": "half \ud83d", "inlineHelpText": "half \ude00"}


def a_count_of_text(document: Document) -> Document:
    return {**document, "totalSize": "three"}


def null_ids(document: Document) -> Document:
    rows = [{**row, "Id": None} if "Id" in row else row for row in document["records"]]
    return {**document, "records": rows}


def deep(document: Document) -> Document:
    return {**document, "more": "DEEP"}


def deep_records(document: Document) -> Document:
    return {**document, "records": "DEEP"}


ROWS = r"FROM Contact"
DESCRIBE = r"sobjects/Contact/describe"


@pytest.mark.parametrize(
    ("concerns", "change"),
    [
        (DESCRIBE, without_an_id),
        (DESCRIBE, deep),
        pytest.param(DESCRIBE, lambda _: {}, marks=MORE),
        pytest.param(DESCRIBE, lambda d: {**d, "name": "Lead"}, marks=MORE),
        (DESCRIBE, lambda d: {**d, "fields": [*d["fields"], another("LASTNAME")]}),
        (DESCRIBE, lambda d: {**d, "fields": [*d["fields"], another("Name; x")]}),
        pytest.param(
            DESCRIBE,
            lambda d: {**d, "fields": [half_labelled(f) for f in d["fields"]]},
            marks=MORE,
        ),
        (ROWS, a_count_of_text),
        (ROWS, deep),
        pytest.param(ROWS, deep_records, marks=MORE),
        (ROWS, null_ids),
        (ROWS, lambda _: []),
    ],
    ids=[
        "describe without Id", "deep describe", "empty describe", "describe of another",
        "a field twice", "a name that is none", "half a character", "totalSize is text",
        "deep answer", "deep records", "null Ids", "answer of no fields",
    ],
)  # fmt: skip
def test_an_odd_answer_about_one_object_harms_no_other(
    workspace: Workspace,
    company: Company,
    monkeypatch: pytest.MonkeyPatch,
    concerns: str,
    change: Callable[[Document], Any],
) -> None:
    company.change()
    with monkeypatch.context() as patch:
        altered = alter(patch, concerns, change)
        only_the_victim_fails(workspace, company)
        assert altered
    company.emulator.advance(300)
    all_is_right(workspace, company)


@pytest.mark.parametrize(
    "how",
    [
        {"status": 400, "code": "QUERY_TIMEOUT", "message": "too long"},
        pytest.param({"status": 400, "code": "MALFORMED_QUERY", "message": "no"}, marks=MORE),
        {"status": 403, "code": "API_DISABLED_FOR_OBJECT", "message": "not this one"},
        pytest.param(
            {"status": 500, "code": "UNKNOWN_EXCEPTION", "message": "something"},
            marks=MORE,
        ),
        {"truncate_after": 40},
    ],
    ids=lambda how: str(how.get("code", "cut JSON")),
)
def test_a_look_for_one_object_that_fails_harms_no_other(
    workspace: Workspace, company: Company, how: dict[str, Any]
) -> None:
    company.change()
    all_is_right(workspace, company)
    company.emulator.advance(300)
    faults = company.emulator.faults
    assert faults is not None
    before = faults.hits
    faults.add(Fault(path=ROWS, times=0, **how))
    faults.add(Fault(method="POST", path="/jobs/query$", request_body=ROWS, times=0, **how))
    only_the_victim_fails(workspace, company)
    assert faults.hits > before
    company.change()
    error = only_the_victim_fails(workspace, company)
    assert error is not None
    faults.clear()
    all_is_right(workspace, company)


def test_an_object_whose_ids_find_no_room_in_tmpdir_fails_alone(
    workspace: Workspace, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.change()
    with monkeypatch.context() as patch:
        patch.setattr(seen, "_SPILLED", 16)  # contacts are more than two
        patch.setattr(tempfile, "tempdir", "/dev/null")
        error = only_the_victim_fails(workspace, company)
    assert error is not None
    assert "TMPDIR" in str(error)
    all_is_right(workspace, company)


def test_a_wide_object_is_read_beside_others(tmp_path: Path, company: Company) -> None:
    emulator = company.emulator
    for number in range(454):
        name = f"A_field_whose_name_is_rather_long_{number:03}__c"
        assert len(name) == 40
        emulator.admin.add_field("Lead", name, {"type": "string", "length": 40}, "x")
    workspace = Workspace(tmp_path, emulator.environment)
    workspace.catalogue(dict.fromkeys(OBJECTS))
    for _ in range(2):
        company.change()
        all_is_right(workspace, company)
