"""How a bucket is entered: as each cloud's users have their credentials."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sf_assets.errors import ConfigError, StorageError
from sf_assets.storage.bucket import Access, connection_of_azure
from sf_assets.storage.store import Store
from sf_assets_tests.object_stores import Bucket, FaultyS3, Moto
from sf_assets_tests.salesforce.scripted import Reply, ScriptedServer, as_json

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


@pytest.fixture
def keyless(faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    """An S3 that the environment leads to, with nothing to enter it."""
    for name in _KEYS:
        monkeypatch.delenv(name)
    return faulty_s3


def signers(s3: FaultyS3) -> list[str]:
    """Whose keys signed what was sent, one after the other."""
    signed = [heard.headers["authorization"] for heard in s3.heard]
    return [text.partition("Credential=")[2].partition("/")[0] for text in signed]


def entered(s3: FaultyS3) -> Store:
    """The storage, as the variables of the endpoint alone have it."""
    return Bucket(s3.bucket.url, {"AWS_ENDPOINT_URL": s3.url}).store()


def _write_profiles(folder: Path) -> str:
    keys = "aws_access_key_id = AKIDOFPROFILE\naws_secret_access_key = s3cr3t"
    path = folder / "config"
    path.write_text(
        f"[profile dev]\n{keys}\nregion = eu-north-1\n"
        "[profile sso]\nsso_session = x\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session x]\nsso_region = eu-north-1\nsso_start_url = https://x.awsapps.com/start\n"
    )
    return str(path)


def test_a_profile_of_aws(
    keyless: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", _write_profiles(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "dev")
    entered(keyless).put("x", b"1")
    assert signers(keyless) == ["AKIDOFPROFILE"]
    assert "/eu-north-1/s3/" in keyless.heard[0].headers["authorization"]
    monkeypatch.setenv("AWS_PROFILE", "sso")
    with pytest.raises(StorageError, match=r"SSO.*log in anew \(`aws sso login`"):
        entered(keyless).put("x", b"1")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match=r"nobody.*AWS_PROFILE"):
        entered(keyless)


def test_a_role_of_the_machine_is_renewed_before_it_expires(
    keyless: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def role(key: str, valid: timedelta) -> Reply:
        until = f"{datetime.now(UTC) + valid:%Y-%m-%dT%H:%M:%SZ}"
        told = {"AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": until}
        return as_json(told)

    with ScriptedServer() as server:
        soon, later = timedelta(minutes=5), timedelta(hours=1)
        server.on("GET", "/role", role("AKIDFIRST", soon), role("AKIDRENEWED", later))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/role")
        entered(keyless).put("x", b"1")
    assert signers(keyless) == ["AKIDRENEWED"]
    assert keyless.heard[0].headers["x-amz-security-token"] == "t"


def test_a_web_identity_of_aws(
    keyless: FaultyS3, moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("a.b.c")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/etl")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto.s3)
    entered(keyless).put("x", b"1")
    (signer,) = signers(keyless)
    assert signer.startswith("ASIA")


def test_a_service_account_of_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with ScriptedServer() as server:
        told = {"access_token": "tok", "expires_in": 3600, "token_type": "Bearer"}
        server.on("POST", "/token", as_json(told))
        server.on("PUT", ".*", Reply(headers={"ETag": '"1"', "x-goog-generation": "1"}))
        account = {
            "type": "service_account",
            "client_email": "etl@example.iam.gserviceaccount.com",
            "private_key": pem,
            "private_key_id": "1",
            "token_uri": f"{server.url}/token",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        Store("gs://bucket/lake", Access(endpoint=server.url)).put("x", b"1")
    asked, written = server.heard
    claims: dict[str, Any] = jwt.decode(
        asked.form()["assertion"], options={"verify_signature": False}
    )
    assert claims["scope"] == "https://www.googleapis.com/auth/devstorage.read_write"
    assert written.token == "tok"


def test_an_azure_connection_string_is_read_in_all_its_forms() -> None:
    key, sas = "a2V5PT0=", "sv=2024&sig=x%3D"
    address = "https://me.blob.core.windows.net"
    assert connection_of_azure(
        f"DefaultEndpointsProtocol=https;AccountName=me;AccountKey={key};"
        "EndpointSuffix=core.windows.net"
    ) == {"account_name": "me", "account_key": key, "endpoint": address}
    assert connection_of_azure(f"BlobEndpoint={address}/;SharedAccessSignature={sas}") == {
        "account_name": "me",
        "sas_key": sas,
        "endpoint": f"{address}/",
    }
    with pytest.raises(ConfigError, match="AZURE_STORAGE_CONNECTION_STRING names no account"):
        connection_of_azure("UseDevelopmentStorage=true")


@pytest.mark.parametrize(
    ("env", "sent"),
    [
        ({"SharedAccessSignature": "sv=2024&sig=abc"}, "sig=abc"),
        ({"AccountKey": "a2V5PT0="}, "SharedKey me:"),
    ],
)
def test_azure_is_entered_with_a_signature_or_a_key(env: dict[str, str], sent: str) -> None:
    with ScriptedServer() as server:
        server.on("PUT", ".*", Reply(201, headers={"ETag": '"1"'}))
        parts = {"AccountName": "me", "BlobEndpoint": f"{server.url}/me"} | env
        text = ";".join(f"{name}={value}" for name, value in parts.items())
        access = Access(variables={"AZURE_STORAGE_CONNECTION_STRING": text})
        Store("az://container/lake", access).put("x", b"1")
    (heard,) = server.heard
    assert sent in heard.target + heard.headers.get("authorization", "")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://bucket/x", "there are no AWS credentials; set AWS_ACCESS_KEY_ID"),
        ("gs://bucket/x", "there are no Google credentials; set GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_where_there_are_no_credentials_it_is_said_which_to_set(
    url: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StorageError, match=says) as refused:
        Store(url).put("x", b"")
    assert "\n" not in str(refused.value)
