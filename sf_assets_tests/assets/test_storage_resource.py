"""The storage entered with what a Dagster user has: resources of dagster-aws and dagster-gcp."""

from typing import Any

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource
from dagster_gcp import GCSResource
from google.auth.credentials import AnonymousCredentials

from sf_assets import StorageResource
from sf_assets.assets import cloud
from sf_assets.errors import ConfigError
from sf_assets_tests.object_stores import Bucket, FaultyS3

pytestmark = pytest.mark.filterwarnings(
    # Dagster's own, where a resource is within another.
    "ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning"
)


def _put_within_dagster(storage: StorageResource) -> None:
    @dg.op
    def write(storage: StorageResource) -> None:
        storage.store.put("a/b", b"1")
        assert storage.store.get("a/b") == b"1"

    @dg.job
    def writing() -> None:
        write()

    assert writing.execute_in_process(resources={"storage": storage}).success


def test_a_bucket_is_entered_with_an_s3_resource(
    faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = faulty_s3.bucket
    for name in bucket.env:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OUR_SECRET", "s3cr3t")
    s3 = S3Resource(
        endpoint_url=bucket.server,
        region_name="eu-north-1",
        aws_access_key_id="AKIDOFRESOURCE",
        aws_secret_access_key=dg.EnvVar("OUR_SECRET"),
    )
    _put_within_dagster(StorageResource(url=bucket.url, credentials=s3))
    signed = {heard.headers["authorization"] for heard in faulty_s3.heard}
    assert all("AKIDOFRESOURCE" in told and "/eu-north-1/s3/" in told for told in signed)


def test_a_bucket_is_entered_with_a_gcs_resource(
    moto: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket: Bucket = moto.bucket("gs")
    identity: Any = AnonymousCredentials()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(identity, "refresh", lambda _: setattr(identity, "token", "t"))
    monkeypatch.setattr("google.auth.default", lambda *_, **__: (identity, "project"))
    gcs = GCSResource(project="project")
    _put_within_dagster(StorageResource(url=bucket.url, credentials=gcs, endpoint=bucket.server))


def test_a_resource_of_another_kind_is_refused() -> None:
    class Other(dg.ConfigurableResource[Any]):
        key: str

    with pytest.raises(ConfigError, match=r"are a Other; give it an S3Resource of dagster-aws"):
        _ = StorageResource(url="s3://bucket/x", credentials=Other(key="k")).store
    with pytest.raises(ConfigError, match=r"profile \(nobody\) could not be found"):
        cloud.access_of(S3Resource(profile_name="nobody"))


def test_options_are_fields_and_variables(
    faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("SF_ASSETS_STORAGE_URL", faulty_s3.bucket.url)
    monkeypatch.setenv("SF_ASSETS_STORAGE_ENDPOINT", faulty_s3.url)
    monkeypatch.setenv("SF_ASSETS_STORAGE_REGION", "eu-north-1")
    monkeypatch.setenv("SF_ASSETS_STORAGE_KMS_KEY", "key-1")
    monkeypatch.setenv("SF_ASSETS_STORAGE_CLASS", "STANDARD_IA")
    storage = StorageResource.from_environment()
    assert isinstance(storage.kms_key, dg.EnvVar)
    StorageResource(url=faulty_s3.bucket.url).store.put("manifest.json", b"1")

    @dg.op
    def write(storage: StorageResource) -> None:
        storage.store.put("a.parquet", b"1")

    @dg.job
    def writing() -> None:
        write()

    assert writing.execute_in_process(resources={"storage": storage}).success
    for heard in faulty_s3.calls("PUT", ".*"):
        assert "/eu-north-1/s3/" in heard.headers["authorization"]
        assert heard.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
    assert heard.headers["x-amz-storage-class"] == "STANDARD_IA"
