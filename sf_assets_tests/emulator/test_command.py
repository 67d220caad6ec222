"""`sf-assets emulator` as a process of its own."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from sf_assets.emulator.command import emulator_command

RUN = "from sf_assets.emulator.command import emulator_command; emulator_command()"


def start(folder: Path, *options: str) -> tuple["subprocess.Popen[str]", dict[str, str], float]:
    """A running org, its environment, and the seconds until it answered."""
    env_file = folder / "org.env"
    env_file.unlink(missing_ok=True)
    started = time.monotonic()
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", RUN, "--scale", "0.1", "--env-file", str(env_file), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not env_file.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    seconds = time.monotonic() - started
    lines = env_file.read_text(encoding="utf-8").splitlines()
    return process, dict(line.split("=", 1) for line in lines), seconds


def login(environment: dict[str, str]) -> requests.Session:
    form = {
        "grant_type": "password",
        "client_id": environment["SALESFORCE_CLIENT_ID"],
        "client_secret": environment["SALESFORCE_CLIENT_SECRET"],
        "username": environment["SALESFORCE_USERNAME"],
        "password": environment["SALESFORCE_PASSWORD"] + environment["SALESFORCE_SECURITY_TOKEN"],
    }
    url = environment["SALESFORCE_LOGIN_URL"]
    token = requests.post(f"{url}/services/oauth2/token", form, timeout=10).json()
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token['access_token']}"
    return session


def test_no_option_takes_a_secret() -> None:
    names = {option.name for option in emulator_command.params}
    assert not names & {"password", "security_token", "client_secret"}
    for name in ("EMULATOR_PASSWORD", "EMULATOR_SECURITY_TOKEN", "EMULATOR_CLIENT_SECRET"):
        assert name in str(emulator_command.help)


def test_it_serves_until_it_is_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMULATOR_PASSWORD", "other")
    process, environment, seconds = start(tmp_path, "--clock-skew", "3600")
    # Generous, because the tests share the machine; alone it takes a second and a half.
    assert seconds < 15
    assert environment["SALESFORCE_PASSWORD"] == "other"
    assert (tmp_path / "org.env").stat().st_mode & 0o077 == 0, "credentials are their owner's"
    with login(environment) as session:
        url = f"{environment['SALESFORCE_LOGIN_URL']}/services/data/v66.0"
        answer = session.get(f"{url}/query?q=SELECT+COUNT()+FROM+Account", timeout=10)
        assert answer.json()["totalSize"] > 10
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=20)[0]
    assert process.returncode == 130
    assert output.splitlines()[0] == f"SALESFORCE_LOGIN_URL={environment['SALESFORCE_LOGIN_URL']}"
    assert "Traceback" not in output


def test_an_org_in_a_file_lives_on(tmp_path: Path) -> None:
    store = str(tmp_path / "org.duckdb")
    found = []
    for name in ("first", "second"):
        process, environment, _ = start(tmp_path, "--store", store, "--seed", "3")
        url = environment["SALESFORCE_LOGIN_URL"]
        with login(environment) as session:
            info = session.get(f"{url}/services/oauth2/userinfo", timeout=10).json()
            base = f"{url}/services/data/v66.0"
            session.post(f"{base}/sobjects/Campaign", json={"Name": name}, timeout=10)
            soql = "SELECT Id, Name FROM Campaign WHERE Name IN ('first', 'second') ORDER BY Name"
            records = session.get(f"{base}/query", params={"q": soql}, timeout=10).json()
            limits = session.get(f"{base}/limits", timeout=10).json()["DailyApiRequests"]
            found.append(
                (
                    info["organization_id"],
                    [r["Name"] for r in records["records"]],
                    limits["Max"] - limits["Remaining"],
                )
            )
            assert len({r["Id"] for r in records["records"]}) == len(records["records"])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130
    (org, names, calls), (same_org, more_names, more_calls) = found
    assert org == same_org
    assert (names, more_names) == (["first"], ["first", "second"])
    assert more_calls == 2 * calls


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    process, environment, _ = start(tmp_path)
    port = environment["SALESFORCE_LOGIN_URL"].rpartition(":")[2]
    result = CliRunner().invoke(emulator_command, ["--port", port])
    process.terminate()
    process.communicate(timeout=20)
    assert result.exit_code == 1
    assert result.output == f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--describe", "{}"], "no *_describe.json there"),
        (["--rows", "Account"], "must look like Opportunity=100000"),
        (["--store", "{}/broken"], "cannot open"),
    ],
)
def test_errors_are_one_clear_line(tmp_path: Path, options: list[str], message: str) -> None:
    (tmp_path / "broken").write_bytes(b"no database" * 1000)
    filled = [option.replace("{}", str(tmp_path)) for option in options]
    result = CliRunner().invoke(emulator_command, filled)
    assert result.exit_code in (1, 2)
    assert message in result.output.splitlines()[-1]
