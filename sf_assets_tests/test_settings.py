"""What a user sets, from the environment or `.env`."""

from datetime import timedelta
from pathlib import Path

import pytest

from sf_assets.errors import ConfigError
from sf_assets.settings import environment, load_credentials, load_settings
from sf_assets.storage.store import Store
from sf_assets.warehouse.duckdb.database import Database


def test_without_any_setting_everything_is_kept_in_one_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings({})
    assert settings.storage_url == f"file://{tmp_path}/.sf_assets/lake"
    assert Database(settings.warehouse_url).path == tmp_path / ".sf_assets" / "sf.duckdb"
    assert settings.catalog is None
    assert (settings.lag, settings.overlap) == (timedelta(minutes=5), timedelta(minutes=10))


def test_a_folder_with_an_awkward_name_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "C# 100%20 Übung"
    here.mkdir()
    monkeypatch.chdir(here)
    settings = load_settings({})
    Store(settings.storage_url).put("x", b"1")
    assert (here / ".sf_assets" / "lake" / "x").read_bytes() == b"1"
    warehouse = Database(settings.warehouse_url)
    assert warehouse.path == here / ".sf_assets" / "sf.duckdb"
    with warehouse.connect() as connection:
        assert connection.execute("SELECT 1") == [(1,)]


def test_every_setting_is_read_from_its_variable() -> None:
    settings = load_settings(
        {
            "SF_ASSETS_CATALOG": "mine.yaml",
            "SF_ASSETS_LAG_SECONDS": "0",
            "SF_ASSETS_OVERLAP_SECONDS": "60",
            "SF_ASSETS_STORAGE_URL": "s3://bucket/prefix",
            "SF_ASSETS_WAREHOUSE_URL": "duckdb:///here.duckdb?threads=2",
            "SF_ASSETS_OF_THE_FUTURE": "1",
        }
    )
    assert settings.catalog == Path("mine.yaml")
    assert (settings.lag_seconds, settings.overlap_seconds) == (0, 60)
    assert settings.storage_url == "s3://bucket/prefix"
    assert settings.warehouse_url == "duckdb:///here.duckdb?threads=2"


@pytest.mark.parametrize("name", ["SF_ASSETS_LAG_SECONDS", "SF_ASSETS_OVERLAP_SECONDS"])
@pytest.mark.parametrize("value", ["soon", "1.5", "-1", "99999999999"])
def test_a_number_of_seconds_that_is_none_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_settings({name: value})


def test_what_is_not_valid_is_corrected_where_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("SF_ASSETS_LAG_SECONDS=-2\n")
    with pytest.raises(ConfigError, match=r"correct it in \.env"):
        load_settings()
    monkeypatch.setenv("SF_ASSETS_LAG_SECONDS", "-1")
    with pytest.raises(ConfigError, match="correct it in the environment"):
        load_settings()


def test_credentials_are_read_from_their_variables() -> None:
    credentials = load_credentials(
        {
            "SALESFORCE_LOGIN_URL": "http://127.0.0.1:8080",
            "SALESFORCE_CLIENT_ID": "id",
            "SALESFORCE_CLIENT_SECRET": "s3cret",
            "SALESFORCE_API_VERSION": "66.0",
            "SALESFORCE_PRIVATE_KEY_FILE": "key.pem",
        }
    )
    assert credentials.login_url == "http://127.0.0.1:8080"
    assert credentials.client_id == "id"
    assert credentials.client_secret is not None
    assert credentials.client_secret.get_secret_value() == "s3cret"
    assert credentials.private_key_file == Path("key.pem")
    assert credentials.api_version == "66.0"
    assert credentials.username is None


def test_a_named_org_has_variables_of_its_own() -> None:
    env = {"SALESFORCE_CLIENT_ID": "one", "SALESFORCE_UK_CLIENT_ID": "two"}
    assert load_credentials(env).client_id == "one"
    assert load_credentials(env, "uk").client_id == "two"
    assert load_credentials(env, "us").client_id is None


def test_secrets_do_not_show_when_credentials_are_printed() -> None:
    names = ("CLIENT_SECRET", "PASSWORD", "SECURITY_TOKEN", "REFRESH_TOKEN")
    credentials = load_credentials({f"SALESFORCE_{name}": "s3cret" for name in names})
    assert "s3cret" not in f"{credentials!r} {credentials}"


def test_the_environment_goes_before_the_file_and_empty_values_are_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "SALESFORCE_CLIENT_ID=of the file\nSALESFORCE_USERNAME=me\nSALESFORCE_PASSWORD=\n"
    )
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", "of the environment")
    monkeypatch.setenv("SALESFORCE_SECURITY_TOKEN", "")
    found = environment()
    assert found["SALESFORCE_CLIENT_ID"] == "of the environment"
    assert found["SALESFORCE_USERNAME"] == "me"
    assert not {"SALESFORCE_PASSWORD", "SALESFORCE_SECURITY_TOKEN"} & found.keys()
    assert load_credentials().password is None


def test_several_warehouses_are_named() -> None:
    one, two = "duckdb:////data/sf.duckdb", "postgresql://one,two:5433/db?host=/a,/b"
    several = f"main={one}, reporting={two}"
    assert load_settings({"SF_ASSETS_WAREHOUSES": several}).addresses == {
        "main": one, "reporting": two
    }  # fmt: skip
    env = {"SF_ASSETS_WAREHOUSE_URL": one, "SF_ASSETS_WAREHOUSES": f"reporting={two}"}
    assert list(load_settings(env).addresses.items()) == [("main", one), ("reporting", two)]
    env["SF_ASSETS_WAREHOUSES"] = f"reporting={two},local={one}"
    assert list(load_settings(env).addresses) == ["reporting", "local"]
    assert list(load_settings({"SF_ASSETS_WAREHOUSE_URL": one}).addresses) == ["main"]
    assert list(load_settings({}).addresses) == ["main"]


@pytest.mark.parametrize(
    "several",
    ["duckdb:////x", "Main=duckdb:////x", "main=x", "a=duckdb:////x,a=duckdb:////y",
     "a=duckdb:////x,b=duckdb:////x", "a-b=duckdb:////x", ","],
)  # fmt: skip
def test_warehouses_that_are_not_named_well_are_refused(several: str) -> None:
    with pytest.raises(ConfigError, match="SF_ASSETS_WAREHOUSES is not valid: "):
        load_settings({"SF_ASSETS_WAREHOUSES": several})
