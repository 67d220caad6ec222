"""`make dev`: the org and the UI, until somebody ends them."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NoReturn

import pytest
from click.testing import CliRunner

from sf_assets.demo import __main__ as demo
from sf_assets.stopping import Stopped


@contextmanager
def _org(*_: str) -> Iterator[SimpleNamespace]:
    alive = SimpleNamespace(poll=lambda: None)
    yield SimpleNamespace(env={"SALESFORCE_LOGIN_URL": "http://127.0.0.1:1"}, process=alive)


def test_to_stop_it_is_its_good_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    dagster = SimpleNamespace(
        poll=lambda: None, terminate=lambda: ended.append("told"), wait=lambda: ended.append("over")
    )

    def interrupted(_: float) -> None:
        raise Stopped

    monkeypatch.setattr(demo, "prepare", lambda: None)
    monkeypatch.setattr(demo, "org", _org)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: dagster)
    monkeypatch.setattr(time, "sleep", interrupted)
    done = CliRunner().invoke(demo.main, ["--ui"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert ended == ["told", "over"]


def test_to_stop_it_while_the_org_comes_up_is_no_other_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: str) -> NoReturn:
        raise Stopped

    monkeypatch.setattr(demo, "prepare", lambda: None)
    monkeypatch.setattr(demo, "org", interrupted)
    done = CliRunner().invoke(demo.main, ["--ui"])
    assert (done.exit_code, done.stderr) == (0, "")
