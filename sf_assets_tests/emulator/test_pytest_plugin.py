"""Other people's projects test with an org of their own, by one fixture."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "emulator.md"
UNWANTED = ("dagster", "duckdb", "pyarrow", "numpy", "uvicorn", "starlette", "pydantic", "yaml")


@pytest.fixture
def foreign_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project that has `sf-assets` installed, and the settings of a real org lying about."""
    (pytester.path / ".env").write_text("SALESFORCE_PRIVATE_KEY_FILE=real.pem\n")
    monkeypatch.setenv("SALESFORCE_LOGIN_URL", "https://real.my.salesforce.com")
    monkeypatch.setenv("SALESFORCE_PRIVATE_KEY_FILE", "real.pem")
    return pytester


def passed(project: pytest.Pytester, count: int) -> None:
    """Run the project's tests as their owner would: all of them pass."""
    result = project.runpytest_subprocess("-q", "-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=count)


def test_the_example_of_the_documentation_runs(foreign_project: pytest.Pytester) -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, re.DOTALL)
    programs = dict(blocks)
    assert programs.keys() == {"conftest.py", "test_accounts.py"}
    for name, program in programs.items():
        (foreign_project.path / name).write_text(program, encoding="utf-8")
    passed(foreign_project, programs["test_accounts.py"].count("\ndef test_"))


def test_each_test_finds_an_org_of_its_own_where_it_would_find_the_real_one(
    foreign_project: pytest.Pytester,
) -> None:
    foreign_project.makepyfile(
        """
        import os
        import pytest
        from sf_assets.salesforce.client import connect
        from sf_assets.settings import load_credentials

        PLANTED = "SELECT Id FROM Account WHERE Name = 'Planted'"

        @pytest.mark.parametrize("time", ["first", "second"])
        def test_inside(salesforce_org, time):
            assert os.environ["SALESFORCE_LOGIN_URL"] == salesforce_org.url
            rest = connect(load_credentials()).rest
            assert rest.records(PLANTED) == []
            salesforce_org.records.insert("Account", {"Name": "Planted"})
            assert len(rest.records(PLANTED)) == 1

        def test_after():
            assert os.environ["SALESFORCE_LOGIN_URL"] == "https://real.my.salesforce.com"
            assert os.environ["SALESFORCE_PRIVATE_KEY_FILE"] == "real.pem"
        """
    )
    passed(foreign_project, 3)


def test_a_project_that_does_not_ask_for_an_org_loads_nothing_of_it() -> None:
    program = (
        "import sys; from sf_assets.emulator import pytest_plugin; "
        f"print([name for name in {UNWANTED} if name in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, timeout=60, env=dict(os.environ),
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
